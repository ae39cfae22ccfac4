#include "backends/pfring/ring.h"

namespace ringtap::pfring {

namespace {

template <class T>
T load(const T& field) noexcept {
  // SAFETY: pairs with the kernel's barriers; the fields are naturally aligned.
  return __atomic_load_n(&field, __ATOMIC_ACQUIRE);
}

template <class T>
void store(T& field, T value) noexcept {
  // SAFETY: our reads of the slots come before.
  __atomic_store_n(&field, value, __ATOMIC_RELEASE);
}

}  // namespace

Result<Ok> check_header(const RingHeader& header, uint32_t caplen, const std::string& uri) {
  const uint16_t version = load(header.version);
  if (version != kSlotVersion) {
    return Error{.code = version == 0 ? Code::kRingCorrupt : Code::kUnsupported,
                 .message = uri + ": the kernel module's ring has version " + std::to_string(version) +
                            ", and ringtap reads version " + std::to_string(kSlotVersion)};
  }
  const uint64_t bytes = load(header.total_bytes);
  const uint32_t slot_length = load(header.slot_length);
  const auto corrupt = [&](const char* what, uint64_t value) {
    return Error{.code = Code::kRingCorrupt,
                 .message = uri + ": the kernel module's ring makes no sense: " + what + " " + std::to_string(value)};
  };
  if (slot_length < slot_bytes(caplen) || slot_length % 8 != 0) return corrupt("slot length", slot_length);
  if (load(header.min_slots) == 0) return corrupt("number of slots", 0);
  if (bytes < kSlotsAt + 2 * uint64_t{slot_length} || bytes % 4096 != 0) return corrupt("size", bytes);
  if (bytes - kSlotsAt > kMaxSegmentBytes) {
    return Error{.code = Code::kUnsupported,
                 .message = uri + ": a ring of " + std::to_string(bytes) + " bytes cannot be shown to JavaScript",
                 .hint = "Load the module with a smaller min_num_slots, or lower snaplen."};
  }
  return Ok{};
}

Ring::Ring(std::shared_ptr<Region> region)
    : region_(std::move(region)),
      bytes_(static_cast<uint32_t>(region_->bytes() - kSlotsAt)),
      slot_length_(load(header().slot_length)) {}

RingHeader& Ring::header() const noexcept {
  // SAFETY: the mapping begins with a RingHeader and is page aligned.
  return *reinterpret_cast<RingHeader*>(region_->base());
}

Segment Ring::segment() const { return {region_, region_->base() + kSlotsAt, bytes_}; }

uint64_t Ring::inserted() const noexcept { return load(header().total_inserted); }
uint64_t Ring::lost() const noexcept { return load(header().total_lost); }

Walk Ring::walk() const noexcept {
  const uint64_t inserted = this->inserted();
  const auto end = static_cast<uint32_t>(load(header().insert_offset));
  return {region_->base() + kSlotsAt, bytes_ - slot_length_, slot_length_, at_, end, read_, inserted};
}

// WHY: total_read says what was looked at, so that the socket is readable only when there is more; the memory is given
// back by remove_offset alone. The kernel tells a full ring from an empty one by the offsets, which never meet in a
// full one.
void Ring::pass(const Walk& walk) noexcept {
  at_ = walk.at();
  read_ = walk.read();
  store(header().total_read, read_);
}

void Ring::free_to(uint64_t offset) noexcept { store(header().remove_offset, offset); }

bool Ring::blocked(uint64_t freed) const noexcept {
  const uint64_t end = load(header().insert_offset);
  if (end < freed) return freed - end < 2 * uint64_t{slot_length_};
  return freed == 0 && bytes_ - end < 3 * uint64_t{slot_length_};
}

}  // namespace ringtap::pfring
