#include <cstring>
#include <vector>

#include "core/byte_order.h"
#include "format/checked_packet.h"
#include "format/encoder.h"
#include "format/pcapng_blocks.h"

namespace ringtap {
namespace {

using namespace pcapng;

constexpr uint32_t kFlagsOptionBytes = 12;  // the option and the end of options

/// Writes one block: type, length, what is put, length.
class BlockWriter {
 public:
  BlockWriter(EncodeBuffer& buffer, uint32_t type) : buffer_(buffer), start_(buffer.data + buffer.used) {
    at_ = store<uint32_t>(start_, type) + 4;
  }
  ~BlockWriter() {
    const auto total = static_cast<uint32_t>(at_ - start_ + 4);
    store(start_ + 4, total);
    store(at_, total);
    buffer_.used += total;
  }
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  template <class T>
  void put(T value) {
    at_ = store(at_, value);
  }
  void option(uint16_t code, const void* value, size_t length) {
    put(code);
    put(static_cast<uint16_t>(length));
    std::memset(at_, 0, padded(length));
    std::memcpy(at_, value, length);
    at_ += padded(length);
  }
  void text(uint16_t code, const std::string& value) {
    if (!value.empty()) option(code, value.data(), value.size());
  }
  void end_of_options() { put(uint32_t{0}); }

 private:
  EncodeBuffer& buffer_;
  std::byte* const start_;
  std::byte* at_;
};

std::string shortened(const std::string& text) {
  constexpr size_t kMostTextBytes = 4096;
  return text.substr(0, kMostTextBytes);
}

class PcapngEncoder final : public Encoder {
 public:
  explicit PcapngEncoder(const EncoderOptions& options)
      : application_(shortened(options.application)),
        comment_(shortened(options.comment)),
        link_types_{options.link_type},
        unit_(options.nanosecond ? 1 : 1000),
        limits_{.snaplen = options.snaplen, .end_ns = uint64_t{1} << 63} {}

  void header(EncodeBuffer& buffer) override {
    {
      BlockWriter section(buffer, kSection);
      section.put(kByteOrderMagic);
      section.put(uint16_t{1});
      section.put(uint16_t{0});
      section.put(UINT64_MAX);  // its length is not known yet
      section.text(kComment, comment_);
      section.text(kSectionApplication, application_);
      section.end_of_options();
    }
    link_types_.resize(1);
    interface(link_types_[0], buffer);
  }

  std::optional<Error> encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) override;

  void trailer(const DropCounts& counts, EncodeBuffer& buffer) override {
    BlockWriter statistics(buffer, kStatistics);
    statistics.put(uint32_t{0});
    put_time(statistics, last_time_);
    statistics.option(kStatisticsReceived, &counts.received, sizeof counts.received);
    statistics.option(kStatisticsDropped, &counts.dropped, sizeof counts.dropped);
    statistics.end_of_options();
  }
  uint32_t trailer_bytes() const override { return kStatisticsBytes; }

  Record record(const EncodeBuffer& buffer, uint32_t at) const override {
    const std::byte* const block = buffer.data + at;
    return {.end = at + load<uint32_t>(block + 4), .is_packet = load<uint32_t>(block) == kEnhancedPacket};
  }

 private:
  static constexpr uint32_t kInterfaceBlockBytes = 32;
  static constexpr uint32_t kStatisticsBytes = 52;

  static void put_time(BlockWriter& block, uint64_t ticks) {
    block.put(static_cast<uint32_t>(ticks >> 32));
    block.put(static_cast<uint32_t>(ticks));
  }

  void interface(uint32_t link_type, EncodeBuffer& buffer) const {
    BlockWriter description(buffer, kInterface);
    description.put(static_cast<uint16_t>(link_type));
    description.put(uint16_t{0});
    description.put(limits_.snaplen);
    const uint8_t resolution = unit_ == 1 ? 9 : 6;
    description.option(kInterfaceResolution, &resolution, 1);
    description.end_of_options();
  }

  /// The interface for a link type; described first if it is new. None when the buffer is full.
  std::optional<uint32_t> interface_for(uint32_t link_type, EncodeBuffer& buffer) {
    for (uint32_t i = 0; i < link_types_.size(); i++) {
      if (link_types_[i] == link_type) return i;
    }
    if (buffer.capacity - buffer.used < kInterfaceBlockBytes) return std::nullopt;
    interface(link_type, buffer);
    link_types_.push_back(link_type);
    return static_cast<uint32_t>(link_types_.size() - 1);
  }

  const std::string application_;
  const std::string comment_;
  std::vector<uint32_t> link_types_;  // of each interface
  const uint32_t unit_;               // ns per tick
  const PacketLimits limits_;
  uint64_t last_time_ = 0;
};

std::optional<Error> PcapngEncoder::encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) {
  if (batch.link_type > UINT16_MAX) {
    return Error{.code = Code::kBadOption,
                 .message = "link type " + std::to_string(batch.link_type) + " does not fit a pcapng file"};
  }
  const auto interface_id = interface_for(batch.link_type, buffer);
  if (!interface_id) return std::nullopt;
  std::byte* at = buffer.data + buffer.used;
  const std::byte* const end = buffer.data + buffer.capacity;
  uint32_t i = next;
  std::optional<Error> error;
  TimeSpan times;
  for (; i < batch.size(); i++) {
    const CheckedPacket packet = check_packet(batch, batch.index(i), limits_);
    if (packet.data == nullptr) [[unlikely]] {
      error = bad_packet(batch, batch.index(i));
      break;
    }
    const bool outgoing = (packet.flags & kFlagOutgoing) != 0;
    const auto total =
        static_cast<uint32_t>(kEnhancedBytes + padded(packet.caplen) + (outgoing ? kFlagsOptionBytes : 0));
    if (static_cast<size_t>(end - at) < total) break;
    last_time_ = packet.unix_ns / unit_;
    at = store<uint32_t>(at, kEnhancedPacket);
    at = store(at, total);
    at = store(at, *interface_id);
    at = store(at, static_cast<uint32_t>(last_time_ >> 32));
    at = store(at, static_cast<uint32_t>(last_time_));
    at = store(at, packet.caplen);
    at = store(at, packet.wirelen);
    std::byte* const after = at + padded(packet.caplen);
    // The padding is part of the last word; what the copy leaves of it stays zero.
    if (after != at) std::memset(after - 4, 0, 4);
    std::memcpy(at, packet.data, packet.caplen);
    times.add(packet.unix_ns);
    at = after;
    if (outgoing) {
      at = store<uint16_t>(at, kPacketFlags);
      at = store<uint16_t>(at, 4);
      at = store<uint32_t>(at, kOutbound);
      at = store<uint32_t>(at, 0);
    }
    at = store(at, total);
  }
  buffer.used = static_cast<uint32_t>(at - buffer.data);
  buffer.packets += i - next;
  times.put(buffer);
  next = i;
  return error;
}

}  // namespace

std::unique_ptr<Encoder> make_pcapng_encoder(const EncoderOptions& options) {
  return std::make_unique<PcapngEncoder>(options);
}

}  // namespace ringtap
