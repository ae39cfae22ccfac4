#include "format/pcap_reader.h"

#include <algorithm>
#include <string>

#include "core/byte_order.h"
#include "format/link_type.h"
#include "format/trace_time.h"

namespace ringtap {
namespace {

enum class Lengths : uint8_t {
  kInOrder,  // captured length, then length on the wire
  kSwapped,  // the other way round: files before version 2.3
  kUnsure,   // version 2.3: the shorter one is the captured length
};

struct Variant {
  uint32_t magic;
  const char* name;
  bool nano;
  uint32_t header_bytes;
  uint32_t record_bytes;
};

constexpr Variant kVariants[] = {
    {0xa1b2c3d4, "pcap", false, 24, 16},
    {0xa1b23c4d, "pcap", true, 24, 16},
    {0xa1b2cd34, "pcap, modified (Kuznetzov)", false, 24, 24},
    {0x1c0001ac, "pcap, IXIA hardware", true, 28, 16},
    {0x1c0001ab, "pcap, IXIA software", false, 28, 16},
};

const Variant* variant_of(uint32_t magic) noexcept {
  const auto* found =
      std::find_if(std::begin(kVariants), std::end(kVariants), [=](const Variant& v) { return v.magic == magic; });
  return found == std::end(kVariants) ? nullptr : found;
}

struct FileHeader {
  uint16_t major;
  uint16_t minor;
  uint32_t snaplen;
  uint32_t network;
};

template <bool kSwap>
class PcapReader final : public RecordReader {
 public:
  PcapReader(const Variant& variant, const FileHeader& header, Lengths lengths)
      : link_type_(header.network & 0xffff),
        limit_(max_caplen(link_type_)),
        record_bytes_(variant.record_bytes),
        scale_(variant.nano ? 1 : 1000),
        lengths_(lengths) {
    header_bytes_ = variant.header_bytes;
    snaplen_ = header.snaplen == 0 ? limit_ : std::min(header.snaplen, limit_);
    description_ = std::string(variant.name) + " " + std::to_string(header.major) + "." + std::to_string(header.minor) +
                   (kSwap != kHostIsBig ? ", big-endian" : ", little-endian") + (variant.nano ? ", ns" : ", µs");
    constexpr uint32_t kHasFcs = 0x04000000;
    if ((header.network & kHasFcs) != 0) {
      description_ += ", packets end in a check sequence of " + std::to_string((header.network >> 28) * 2) + " bytes";
    }
  }

  std::optional<uint32_t> link_type() const noexcept override { return link_type_; }
  bool big_endian() const noexcept override { return kSwap != kHostIsBig; }

  void walk(Walk& w, DescBlock& out, uint32_t max) noexcept override {
    w.count = 0;
    w.filtered = 0;
    w.wire_bytes = 0;
    if (!epoch_) {
      if (uint64_t{w.pos} + record_bytes_ > w.end) return w.starve(w.pos, record_bytes_);
      epoch_ = load<uint32_t, kSwap>(w.base + w.pos);
    }
    if (w.filter == nullptr && lengths_ == Lengths::kInOrder) {
      run<true>(w, out, max);
    } else {
      run<false>(w, out, max);
    }
  }

 private:
  template <bool kPlain>
  void run(Walk& w, DescBlock& out, uint32_t max) noexcept;

  void too_long(Walk& w, uint64_t pos, uint32_t caplen) const;

  const uint32_t link_type_;
  const uint32_t limit_;
  const uint32_t record_bytes_;
  const uint32_t scale_;
  const Lengths lengths_;
};

template <bool kSwap>
void PcapReader<kSwap>::too_long(Walk& w, uint64_t pos, uint32_t caplen) const {
  w.corrupt(pos, "captured length " + std::to_string(caplen) + " is above " + std::to_string(limit_) +
                     ", the most for link type " + std::to_string(link_type_));
}

template <bool kSwap>
template <bool kPlain>
void PcapReader<kSwap>::run(Walk& w, DescBlock& out, uint32_t max) noexcept {
  const std::byte* const base = w.base;
  const uint64_t end = w.end;
  const uint64_t record_bytes = record_bytes_;
  const int64_t epoch = *epoch_;
  const int64_t scale = scale_;
  const uint32_t limit = limit_;
  const uint32_t snaplen = w.snaplen;
  uint64_t pos = w.pos;
  uint64_t wire_bytes = 0;
  uint32_t n = 0;
  w.stop = Stop::kFull;
  while (n < max) {
    if constexpr (!kPlain) {
      if (w.paused()) {
        w.stop = Stop::kPause;
        break;
      }
    }
    const uint64_t data = pos + record_bytes;
    if (data > end) {
      w.starve(pos, record_bytes);
      break;
    }
    const std::byte* const header = base + pos;
    const uint32_t seconds = load<uint32_t, kSwap>(header);
    const uint32_t fraction = load<uint32_t, kSwap>(header + 4);
    uint32_t caplen = load<uint32_t, kSwap>(header + 8);
    uint32_t wirelen = load<uint32_t, kSwap>(header + 12);
    if constexpr (!kPlain) {
      if (lengths_ == Lengths::kSwapped || (lengths_ == Lengths::kUnsure && caplen > wirelen))
        std::swap(caplen, wirelen);
    }
    if (caplen > limit) [[unlikely]] {
      too_long(w, pos, caplen);
      break;
    }
    const uint64_t next = data + caplen;
    if (next > end) {
      w.starve(pos, next - pos);
      break;
    }
    prefetch(base + next + 128);
    uint32_t keep = std::min(caplen, snaplen);
    pos = next;
    if constexpr (!kPlain) {
      if (w.filter != nullptr) {
        const uint32_t wanted = w.filter->keep(base + data, wirelen, caplen);
        if (wanted == 0) {
          w.filtered++;
          continue;
        }
        keep = std::min(keep, wanted);
      }
    }
    const int64_t time = (int64_t{seconds} - epoch) * 1'000'000'000 + int64_t{fraction} * scale;
    out.set_basic(n++, static_cast<uint32_t>(data), keep, wirelen, time, 0);
    wire_bytes += wirelen;
  }
  w.pos = static_cast<uint32_t>(pos);
  w.count = n;
  w.wire_bytes = wire_bytes;
}

template <bool kSwap>
Result<std::unique_ptr<RecordReader>> open_with(const Variant& variant, std::span<const std::byte> head) {
  const FileHeader header{
      .major = load<uint16_t, kSwap>(&head[4]),
      .minor = load<uint16_t, kSwap>(&head[6]),
      .snaplen = load<uint32_t, kSwap>(&head[16]),
      .network = load<uint32_t, kSwap>(&head[20]),
  };
  const bool dgux = header.major == 543 && header.minor == 0;  // DG/UX tcpdump
  if (!dgux && (header.major != 2 || header.minor > 4)) {
    return Error{.code = Code::kFileFormat,
                 .message = "pcap version " + std::to_string(header.major) + "." + std::to_string(header.minor) +
                            " is not known (2.0 to 2.4 are)"};
  }
  Lengths lengths = Lengths::kInOrder;
  if (dgux || header.minor < 3) {
    lengths = Lengths::kSwapped;
  } else if (header.minor == 3) {
    lengths = Lengths::kUnsure;
  }
  return std::unique_ptr<RecordReader>(std::make_unique<PcapReader<kSwap>>(variant, header, lengths));
}

}  // namespace

bool is_pcap(std::span<const std::byte> head) noexcept {
  const auto magic = load<uint32_t>(head.data());
  return variant_of(magic) != nullptr || variant_of(swap_bytes(magic)) != nullptr;
}

Result<std::unique_ptr<RecordReader>> open_pcap(std::span<const std::byte> head) {
  const auto magic = load<uint32_t>(head.data());
  const Variant* native = variant_of(magic);
  const Variant* variant = native != nullptr ? native : variant_of(swap_bytes(magic));
  if (head.size() < variant->header_bytes) return std::unique_ptr<RecordReader>();
  return native != nullptr ? open_with<false>(*variant, head) : open_with<true>(*variant, head);
}

}  // namespace ringtap
