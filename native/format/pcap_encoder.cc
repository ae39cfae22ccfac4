#include <cstring>

#include "core/byte_order.h"
#include "format/checked_packet.h"
#include "format/encoder.h"
#include "format/trace_time.h"

namespace ringtap {
namespace {

constexpr uint32_t kFileHeaderBytes = 24;
constexpr uint32_t kRecordHeaderBytes = 16;
constexpr uint32_t kMicroMagic = 0xa1b2c3d4;
constexpr uint32_t kNanoMagic = 0xa1b23c4d;

class PcapEncoder final : public Encoder {
 public:
  explicit PcapEncoder(const EncoderOptions& options)
      : link_type_(options.link_type),
        unit_(options.nanosecond ? 1 : 1000),
        limits_{.snaplen = options.snaplen, .end_ns = (uint64_t{1} << 32) * kSecond} {}

  void header(EncodeBuffer& buffer) override {
    std::byte* at = buffer.data + buffer.used;
    at = store<uint32_t>(at, unit_ == 1 ? kNanoMagic : kMicroMagic);
    at = store<uint16_t>(at, 2);
    at = store<uint16_t>(at, 4);
    at = store<uint64_t>(at, 0);  // time zone and accuracy, which nobody sets
    at = store<uint32_t>(at, limits_.snaplen);
    store<uint32_t>(at, link_type_);
    buffer.used += kFileHeaderBytes;
  }

  std::optional<Error> encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) override;

  std::optional<Error> refuses(uint32_t link_type) const override {
    if (link_type == link_type_) return std::nullopt;
    return Error{.code = Code::kBadOption,
                 .message = "a batch of link type " + std::to_string(link_type) +
                            " cannot go into a pcap file of link type " + std::to_string(link_type_),
                 .hint = "Use pcapng:, which holds several link types."};
  }
  const PacketLimits& limits() const noexcept override { return limits_; }

  void trailer(const std::vector<std::optional<DropCounts>>&, EncodeBuffer&) override {}
  uint32_t trailer_bytes() const override { return 0; }

  Record record(const EncodeBuffer& buffer, uint32_t at) const override {
    return pcap_record(buffer.data, at, buffer.begins_file);
  }

 private:
  const uint32_t link_type_;
  const uint32_t unit_;  // ns per unit of the fraction
  const PacketLimits limits_;
};

std::optional<Error> PcapEncoder::encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) {
  if (auto refused = refuses(batch.link_type)) return refused;
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
    if (static_cast<size_t>(end - at) < kRecordHeaderBytes + size_t{packet.caplen}) break;
    at = store(at, static_cast<uint32_t>(packet.unix_ns / kSecond));
    at = store(at, static_cast<uint32_t>(packet.unix_ns % kSecond) / unit_);
    at = store(at, packet.caplen);
    at = store(at, packet.wirelen);
    std::memcpy(at, packet.data, packet.caplen);
    times.add(packet.unix_ns);
    at += packet.caplen;
  }
  buffer.used = static_cast<uint32_t>(at - buffer.data);
  buffer.packets += i - next;
  times.put(buffer);
  next = i;
  return error;
}

}  // namespace

Encoder::Record pcap_record(const std::byte* data, uint32_t at, bool begins_file) {
  if (at == 0 && begins_file) return {.end = kFileHeaderBytes};
  return {.end = at + kRecordHeaderBytes + load<uint32_t>(data + at + 8), .is_packet = true};
}

std::unique_ptr<Encoder> make_pcap_encoder(const EncoderOptions& options) {
  return std::make_unique<PcapEncoder>(options);
}

}  // namespace ringtap
