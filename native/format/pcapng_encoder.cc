#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/byte_order.h"
#include "format/checked_packet.h"
#include "format/encoder.h"
#include "format/pcapng_blocks.h"
#include "format/pcapng_kept.h"

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
  const std::string* kept = nullptr;  // options of another trace

  uint32_t bytes() const noexcept {
    const uint32_t options = (flags != 0 ? 8 : 0) + (drops != 0 ? 12 : 0) + (id != 0 ? 12 : 0) + (has_queue ? 8 : 0) +
                             (comment != nullptr ? 4 + static_cast<uint32_t>(padded(comment->size())) : 0) +
                             (kept != nullptr ? static_cast<uint32_t>(kept->size()) : 0);
    return options > 0 ? options + kEndOfOptionsBytes : 0;
  }
  std::byte* put(std::byte* at) const noexcept {
    if (comment != nullptr) {
      at = head(at, kComment, static_cast<uint16_t>(comment->size()));
      std::memset(at, 0, padded(comment->size()));
      std::memcpy(at, comment->data(), comment->size());
      at += padded(comment->size());
    }
    if (kept != nullptr) {
      std::memcpy(at, kept->data(), kept->size());
      at += kept->size();
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
      // Packets of other traces were captured elsewhere.
      if (!options_.keeps) section.text(kSectionHardware, shortened(options_.hardware));
      if (!options_.keeps) section.text(kSectionOs, shortened(options_.os));
      section.text(kSectionApplication, shortened(options_.application));
      section.bytes(options_.section);
      section.end_of_options();
    }
    described_.clear();
    kept_.clear();
    for (uint32_t i = 0; i < sources_.size(); i++) {
      sources_[i].span = {};
      if (sources_[i].link_type && !options_.keeps) describe(i, *sources_[i].link_type, buffer);
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
    constexpr size_t kMostMore = 32;  // of an interface
    if (buffer.capacity - buffer.used < kAnyBytes + kMostMore + padded(block.body.size())) return false;
    if (block.type == kInterface) {
      describe_kept(block.body, buffer);
    } else {
      BlockWriter(buffer, block.type).bytes(block.body);
    }
    return true;
  }
  bool leaves_out() const override { return leaves_out_; }

  void trailer(const std::vector<std::optional<DropCounts>>& counts, EncodeBuffer& buffer) override {
    // A trace of no packets has a link type all the same.
    if (described_.empty()) describe(options_.source, sources_[options_.source].link_type.value_or(1), buffer);
    for (uint32_t i = 0; i < sources_.size() && i < counts.size(); i++) {
      const auto of_source = [i](const Described& described) { return described.source == i; };
      const auto found = std::find_if(described_.begin(), described_.end(), of_source);
      if (counts[i] && found != described_.end()) {
        statistics(static_cast<uint32_t>(found - described_.begin()), sources_[i].span, *counts[i], buffer);
      }
    }
  }
  uint32_t trailer_bytes() const override {
    return static_cast<uint32_t>(sources_.size()) * kStatisticsBytes + (described_.empty() ? kMostDescription : 0);
  }

  Record record(const EncodeBuffer& buffer, uint32_t at) const override { return pcapng_record(buffer.data, at); }

 private:
  static constexpr uint32_t kMostDescription = 72 + 3 * (kMostTextBytes + 4);
  static constexpr uint32_t kStatisticsBytes = 96 + kMostCauses * (8 + kMostCauseBytes);

  /// What packets come from.
  struct Source {
    std::optional<uint32_t> link_type;  // that its interface is described with at the beginning of each file
    uint64_t lost = 0;                  // before its next packet
    TimeSpan span = {};                 // of this file
  };
  /// An interface of this file.
  struct Described {
    uint32_t source;  // kKept: that of another trace
    uint32_t link_type;
    uint32_t unit;  // ns per tick
  };
  static constexpr uint32_t kKept = UINT32_MAX;

  void statistics(uint32_t interface_id, const TimeSpan& span, const DropCounts& counts, EncodeBuffer& buffer) const {
    BlockWriter statistics(buffer, kStatistics);
    statistics.put(interface_id);
    put_time(statistics, last_ns_ / unit_);
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
    described_.push_back({.source = source, .link_type = link_type, .unit = unit_});
  }

  /// One of another trace.
  void describe_kept(const std::string& body, EncodeBuffer& buffer) {
    const auto* const at = reinterpret_cast<const std::byte*>(body.data());  // SAFETY: characters are bytes
    const auto link_type = load<uint16_t>(at);
    const auto theirs = load<uint8_t>(at + 2);
    constexpr uint8_t kFinest = 9;
    uint8_t resolution = unit_ == 1 ? kFinest : 6;
    uint32_t unit = unit_;
    if (options_.keeps_resolution && theirs <= kFinest) {
      resolution = theirs;
      unit = 1;
      for (uint8_t i = theirs; i < kFinest; i++) unit *= 10;
    }
    {
      BlockWriter description(buffer, kInterface);
      description.put(link_type);
      description.put(uint16_t{0});
      description.put(limits_.snaplen);
      description.bytes(body.substr(kKeptInterfaceBytes));
      description.option(kInterfaceResolution, &resolution, 1);
      description.end_of_options();
    }
    kept_.push_back(static_cast<uint32_t>(described_.size()));
    described_.push_back({.source = kKept, .link_type = link_type, .unit = unit});
    buffer.describes = true;
  }

  /// The interface of a packet of another trace, and its options. None: nothing is known of it.
  std::optional<uint32_t> origin_of(const BatchView& batch, uint32_t index, PacketOptions& options) {
    const PacketOrigin& origin = batch.origin[index];
    if (origin.interface >= batch.interface_count) return std::nullopt;
    const uint32_t number = batch.interfaces[origin.interface];
    if (number >= kept_.size()) return std::nullopt;
    const uint64_t end = uint64_t{origin.options} + origin.option_bytes;
    if (origin.option_bytes > 0 && end <= batch.segment_bytes) {
      kept_options_.clear();
      const auto kept = keep_options(Owner::kPacket, {batch.segment + origin.options, origin.option_bytes},
                                     origin.swapped, kMostPacketOptions, kept_options_);
      leaves_out_ |= !kept.is_whole;
      if (!kept_options_.empty()) options.kept = &kept_options_;
      if (kept.has(kPacketFlags)) options.flags = 0;
      if (kept.has(kPacketDrops)) options.drops = 0;
      if (kept.has(kPacketId)) options.id = 0;
      options.has_queue = options.has_queue && !kept.has(kPacketQueue);
    }
    return kept_[number];
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
    last_ns_ = packet.unix_ns;
    const uint64_t ticks = packet.unix_ns / described_[interface_id].unit;
    at = store<uint32_t>(at, kEnhancedPacket);
    at = store(at, total);
    at = store(at, interface_id);
    at = store(at, static_cast<uint32_t>(ticks >> 32));
    at = store(at, static_cast<uint32_t>(ticks));
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
  uint64_t last_ns_ = 0;
  uint64_t packets_ = 0;        // ever
  std::string comment_;         // about the next packet
  std::vector<uint32_t> kept_;  // which of the interfaces of this file is one of another trace, by its number
  std::string kept_options_;    // of the packet that is being written
  bool leaves_out_ = false;
};

std::optional<Error> PcapngEncoder::encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) {
  if (auto refused = refuses(batch.link_type)) return refused;
  std::optional<uint32_t> own_id;
  if (batch.origin == nullptr) {
    own_id = interface_for(batch.source, batch.link_type, buffer);
    if (!own_id) return std::nullopt;
  }
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
    std::optional<uint32_t> interface_id = own_id;
    if (batch.origin != nullptr) {
      interface_id = origin_of(batch, index, options);
      if (!interface_id) {
        buffer.used = static_cast<uint32_t>(at - buffer.data);
        interface_id = interface_for(batch.source, batch.link_type, buffer);
        at = buffer.data + buffer.used;
      }
      if (!interface_id) break;
    }
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
