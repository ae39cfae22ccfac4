#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/byte_order.h"
#include "format/checked_packet.h"
#include "format/encoder.h"
#include "format/pcapng_blocks.h"

namespace ringtap {
namespace {

using namespace pcapng;

constexpr uint32_t kEndOfOptionsBytes = 4;
constexpr uint32_t kMostCauses = 16;
constexpr uint32_t kMostCauseBytes = 48;

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
  void bytes(const std::string& value) {
    std::memset(at_, 0, padded(value.size()));
    std::memcpy(at_, value.data(), value.size());
    at_ += padded(value.size());
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

constexpr uint32_t kMostTextBytes = 4096;

std::string shortened(const std::string& text) { return text.substr(0, kMostTextBytes); }

/// What follows the bytes of a packet.
struct PacketOptions {
  uint32_t flags = 0;  // 0: none
  uint64_t drops = 0;  // 0: none
  uint64_t id = 0;     // 0: none
  uint32_t queue = 0;
  bool has_queue = false;
  const std::string* comment = nullptr;

  uint32_t bytes() const noexcept {
    const uint32_t options = (flags != 0 ? 8 : 0) + (drops != 0 ? 12 : 0) + (id != 0 ? 12 : 0) + (has_queue ? 8 : 0) +
                             (comment != nullptr ? 4 + static_cast<uint32_t>(padded(comment->size())) : 0);
    return options > 0 ? options + kEndOfOptionsBytes : 0;
  }
  std::byte* put(std::byte* at) const noexcept {
    if (comment != nullptr) {
      at = head(at, kComment, static_cast<uint16_t>(comment->size()));
      std::memset(at, 0, padded(comment->size()));
      std::memcpy(at, comment->data(), comment->size());
      at += padded(comment->size());
    }
    if (flags != 0) at = store<uint32_t>(head(at, kPacketFlags, 4), flags);
    if (drops != 0) at = store<uint64_t>(head(at, kPacketDrops, 8), drops);
    if (id != 0) at = store<uint64_t>(head(at, kPacketId, 8), id);
    if (has_queue) at = store<uint32_t>(head(at, kPacketQueue, 4), queue);
    return store<uint32_t>(at, 0);
  }

 private:
  static std::byte* head(std::byte* at, uint16_t code, uint16_t length) noexcept {
    return store<uint16_t>(store<uint16_t>(at, code), length);
  }
};

class PcapngEncoder final : public Encoder {
 public:
  explicit PcapngEncoder(const EncoderOptions& options)
      : options_(options),
        sources_(options.interfaces.size()),
        unit_(options.nanosecond ? 1 : 1000),
        limits_{.snaplen = options.snaplen, .end_ns = uint64_t{1} << 63} {
    for (size_t i = 0; i < sources_.size(); i++) sources_[i].link_type = options.interfaces[i].link_type;
    std::optional<uint32_t>& first = sources_[options.source].link_type;
    if (!first) first = options.link_type;
  }

  void header(EncodeBuffer& buffer) override {
    {
      BlockWriter section(buffer, kSection);
      section.put(kByteOrderMagic);
      section.put(uint16_t{1});
      section.put(uint16_t{0});
      section.put(UINT64_MAX);  // its length is not known yet
      section.text(kComment, shortened(options_.comment));
      section.text(kSectionHardware, shortened(options_.hardware));
      section.text(kSectionOs, shortened(options_.os));
      section.text(kSectionApplication, shortened(options_.application));
      section.end_of_options();
    }
    described_.clear();
    for (uint32_t i = 0; i < sources_.size(); i++) {
      sources_[i].span = {};
      if (sources_[i].link_type) describe(i, *sources_[i].link_type, buffer);
    }
  }

  std::optional<Error> refuses(uint32_t link_type) const override {
    if (link_type <= UINT16_MAX) return std::nullopt;
    return Error{.code = Code::kBadOption,
                 .message = "link type " + std::to_string(link_type) + " does not fit a pcapng file"};
  }
  const PacketLimits& limits() const noexcept override { return limits_; }

  std::optional<Error> encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) override;

  void comment(const std::string& text) override { comment_ = text; }
  void lost(uint32_t source, uint64_t packets) override { sources_[source].lost += packets; }

  bool block(const TraceBlock& block, EncodeBuffer& buffer) override {
    if (buffer.capacity - buffer.used < kAnyBytes + padded(block.body.size())) return false;
    BlockWriter(buffer, block.type).bytes(block.body);
    return true;
  }

  void trailer(const std::vector<std::optional<DropCounts>>& counts, EncodeBuffer& buffer) override {
    for (uint32_t i = 0; i < sources_.size() && i < counts.size(); i++) {
      const auto of_source = [i](const Described& described) { return described.source == i; };
      const auto found = std::find_if(described_.begin(), described_.end(), of_source);
      if (counts[i] && found != described_.end()) {
        statistics(static_cast<uint32_t>(found - described_.begin()), sources_[i].span, *counts[i], buffer);
      }
    }
  }
  uint32_t trailer_bytes() const override { return static_cast<uint32_t>(sources_.size()) * kStatisticsBytes; }

  Record record(const EncodeBuffer& buffer, uint32_t at) const override { return pcapng_record(buffer.data, at); }

 private:
  static constexpr uint32_t kStatisticsBytes = 96 + kMostCauses * (8 + kMostCauseBytes);

  /// What packets come from.
  struct Source {
    std::optional<uint32_t> link_type;  // that its interface is described with at the beginning of each file
    uint64_t lost = 0;                  // before its next packet
    TimeSpan span = {};                 // of this file
  };
  /// An interface of this file.
  struct Described {
    uint32_t source;
    uint32_t link_type;
  };

  void statistics(uint32_t interface_id, const TimeSpan& span, const DropCounts& counts, EncodeBuffer& buffer) const {
    BlockWriter statistics(buffer, kStatistics);
    statistics.put(interface_id);
    put_time(statistics, last_time_);
    if (!span.is_empty()) {
      put_time(statistics, kStatisticsStart, span.earliest_ns() / unit_);
      put_time(statistics, kStatisticsEnd, span.latest_ns() / unit_);
    }
    statistics.option(kStatisticsReceived, &counts.received, sizeof counts.received);
    statistics.option(kStatisticsDropped, &counts.dropped, sizeof counts.dropped);
    for (size_t i = 0; i < counts.causes.size() && i < kMostCauses; i++) {
      std::string custom(4, '\0');
      store(reinterpret_cast<std::byte*>(custom.data()), kExampleEnterprise);  // SAFETY: bytes of our own
      custom += counts.causes[i].substr(0, kMostCauseBytes);
      statistics.text(kCustomText, custom);
    }
    statistics.end_of_options();
  }

  static void put_time(BlockWriter& block, uint64_t ticks) {
    block.put(static_cast<uint32_t>(ticks >> 32));
    block.put(static_cast<uint32_t>(ticks));
  }
  static void put_time(BlockWriter& block, uint16_t code, uint64_t ticks) {
    block.put(code);
    block.put(uint16_t{8});
    put_time(block, ticks);
  }

  void describe(uint32_t source, uint32_t link_type, EncodeBuffer& buffer) {
    const auto& [name, about, filter, bits_per_second, _] = options_.interfaces[source];
    BlockWriter description(buffer, kInterface);
    description.put(static_cast<uint16_t>(link_type));
    description.put(uint16_t{0});
    description.put(limits_.snaplen);
    description.text(kInterfaceName, shortened(name));
    description.text(kInterfaceDescription, shortened(about));
    if (bits_per_second > 0) description.option(kInterfaceSpeed, &bits_per_second, sizeof bits_per_second);
    const uint8_t resolution = unit_ == 1 ? 9 : 6;
    description.option(kInterfaceResolution, &resolution, 1);
    // A zero in front: the text of a filter, not its code.
    if (!filter.empty()) description.text(kInterfaceFilter, std::string(1, '\0') + shortened(filter));
    description.end_of_options();
    described_.push_back({.source = source, .link_type = link_type});
  }

  /// The interface for a source and a link type; described first if it is new. None when the buffer is full.
  std::optional<uint32_t> interface_for(uint32_t source, uint32_t link_type, EncodeBuffer& buffer) {
    for (uint32_t i = 0; i < described_.size(); i++) {
      if (described_[i].link_type == link_type && described_[i].source == source) return i;
    }
    const auto& [name, about, filter, bits_per_second, _] = options_.interfaces[source];
    const size_t bytes = 72 + padded(name.size()) + padded(about.size()) + padded(filter.size());  // at most
    if (buffer.capacity - buffer.used < bytes) return std::nullopt;
    describe(source, link_type, buffer);
    buffer.describes = true;
    if (!sources_[source].link_type) sources_[source].link_type = link_type;
    return static_cast<uint32_t>(described_.size() - 1);
  }

  /// Where the packet ends; null when it has no room before `end`.
  std::byte* put(std::byte* at, const std::byte* end, uint32_t interface_id, const CheckedPacket& packet,
                 const PacketOptions& options) noexcept {
    const uint32_t option_bytes = options.bytes();
    const auto total = static_cast<uint32_t>(kEnhancedBytes + padded(packet.caplen) + option_bytes);
    if (static_cast<size_t>(end - at) < total) return nullptr;
    last_time_ = packet.unix_ns / unit_;
    at = store<uint32_t>(at, kEnhancedPacket);
    at = store(at, total);
    at = store(at, interface_id);
    at = store(at, static_cast<uint32_t>(last_time_ >> 32));
    at = store(at, static_cast<uint32_t>(last_time_));
    at = store(at, packet.caplen);
    at = store(at, packet.wirelen);
    std::byte* const after = at + padded(packet.caplen);
    // The padding is part of the last word; what the copy leaves of it stays zero.
    if (after != at) std::memset(after - 4, 0, 4);
    std::memcpy(at, packet.data, packet.caplen);
    return store(option_bytes > 0 ? options.put(after) : after, total);
  }

  const EncoderOptions options_;
  std::vector<Source> sources_;
  std::vector<Described> described_;
  const uint32_t unit_;  // ns per tick
  const PacketLimits limits_;
  uint64_t last_time_ = 0;
  uint64_t packets_ = 0;  // ever
  std::string comment_;   // about the next packet
};

std::optional<Error> PcapngEncoder::encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) {
  if (auto refused = refuses(batch.link_type)) return refused;
  const auto interface_id = interface_for(batch.source, batch.link_type, buffer);
  if (!interface_id) return std::nullopt;
  std::byte* at = buffer.data + buffer.used;
  const std::byte* const end = buffer.data + buffer.capacity;
  Source& source = sources_[batch.source];
  const bool details = options_.packet_details;
  uint32_t i = next;
  std::optional<Error> error;
  TimeSpan times;
  for (; i < batch.size(); i++) {
    const uint32_t index = batch.index(i);
    const CheckedPacket packet = check_packet(batch, index, limits_);
    if (packet.data == nullptr) [[unlikely]] {
      error = bad_packet(batch, index);
      break;
    }
    PacketOptions options;
    if ((packet.flags & kFlagOutgoing) != 0) options.flags = kOutbound;
    if (details) {
      if (options.flags == 0) options.flags = kInbound;
      options.id = packets_ + 1;
      options.has_queue = batch.queue != nullptr;
      if (options.has_queue) options.queue = load_once(&batch.queue[index]);
    }
    options.drops = source.lost;
    if (!comment_.empty()) [[unlikely]]
      options.comment = &comment_;
    std::byte* const after = put(at, end, *interface_id, packet, options);
    if (after == nullptr) break;
    at = after;
    packets_++;
    source.lost = 0;
    times.add(packet.unix_ns);
    if (!comment_.empty()) [[unlikely]]
      comment_.clear();
  }
  buffer.used = static_cast<uint32_t>(at - buffer.data);
  buffer.packets += i - next;
  times.put(buffer);
  source.span.add(times);
  next = i;
  return error;
}

}  // namespace

Encoder::Record pcapng_record(const std::byte* data, uint32_t at) {
  const std::byte* const block = data + at;
  return {.end = at + load<uint32_t>(block + 4), .is_packet = load<uint32_t>(block) == kEnhancedPacket};
}

std::unique_ptr<Encoder> make_pcapng_encoder(const EncoderOptions& options) {
  return std::make_unique<PcapngEncoder>(options);
}

}  // namespace ringtap
