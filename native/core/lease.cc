#include "core/lease.h"

namespace ringtap {

Pool::Pool(uint32_t pieces) : size_(pieces) {
  free_.reserve(pieces);
  for (uint32_t i = pieces; i-- > 0;) free_.push_back(i);
}

uint32_t Pool::take() noexcept {
  const uint32_t piece = free_.back();
  free_.pop_back();
  return piece;
}

// There is room: no more is given back than was taken.
void Pool::give(uint32_t piece) noexcept { free_.push_back(piece); }

LeaseTable::LeaseTable(uint32_t capacity) : slots_(capacity), free_(capacity) {}

std::optional<Lease> LeaseTable::acquire(uint32_t tag) noexcept {
  if (free_.empty()) return std::nullopt;
  const uint32_t index = free_.take();
  Slot& slot = slots_[index];
  slot.out = true;
  slot.tag = tag;
  return (Lease{slot.generation} << 32) | index;
}

std::optional<uint32_t> LeaseTable::find(Lease lease) const noexcept {
  const auto index = static_cast<uint32_t>(lease);
  if (index >= slots_.size() || !slots_[index].out || slots_[index].generation != lease >> 32) return std::nullopt;
  return slots_[index].tag;
}

std::optional<uint32_t> LeaseTable::release(Lease lease) noexcept {
  if (!find(lease)) return std::nullopt;
  const auto index = static_cast<uint32_t>(lease);
  Slot& slot = slots_[index];
  slot.out = false;
  slot.generation = slot.generation == UINT32_MAX ? 1 : slot.generation + 1;
  free_.give(index);
  return slot.tag;
}

OrderedLeases::OrderedLeases(uint32_t capacity, uint64_t start)
    : leases_(capacity), root_(capacity), stretches_(capacity + 1) {
  stretches_[root_] = {.end = start, .before = root_, .after = root_};
}

Lease OrderedLeases::lend(uint64_t end) noexcept {
  const uint32_t number = leases_.next();
  const uint32_t last = stretches_[root_].before;
  stretches_[number] = {.end = end, .before = last, .after = root_};
  stretches_[last].after = number;
  stretches_[root_].before = number;
  return *leases_.acquire(number);
}

void OrderedLeases::skip(uint64_t end) noexcept { stretches_[stretches_[root_].before].end = end; }

std::optional<uint64_t> OrderedLeases::begin(Lease lease) const noexcept {
  const auto number = leases_.find(lease);
  return number ? std::optional(stretches_[stretches_[*number].before].end) : std::nullopt;
}

bool OrderedLeases::release(Lease lease) noexcept {
  const auto number = leases_.release(lease);
  if (!number) return false;
  const Stretch gone = stretches_[*number];
  stretches_[gone.before].after = gone.after;
  stretches_[gone.after].before = gone.before;
  stretches_[gone.before].end = gone.end;
  return true;
}

}  // namespace ringtap
