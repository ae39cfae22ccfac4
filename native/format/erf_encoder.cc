#include <algorithm>
#include <cstring>
#include <string>

#include "core/byte_order.h"
#include "core/link_type.h"
#include "format/checked_packet.h"
#include "format/encoder.h"
#include "format/erf_record.h"

namespace ringtap {
namespace {

using namespace erf;

constexpr uint8_t kVaryingLength = 4;  // a flag: records are as long as their packets

/// How a packet becomes a record.
struct Shape {
  uint8_t type;
  uint32_t pad;
  uint32_t fcs;
};

Shape shape_of(uint32_t link_type, const CheckedPacket& packet) noexcept {
  if (link_type == kLinkEthernet) return {.type = kEth, .pad = kEthernetPad, .fcs = kFcsBytes};
  if (link_type == kLinkCiscoHdlc) return {.type = kHdlcPos, .pad = 0, .fcs = 0};
  const bool is_ipv6 =
      link_type == kLinkIpv6 || (link_type == kLinkRaw && packet.caplen > 0 && (load<uint8_t>(packet.data) >> 4) == 6);
  return {.type = is_ipv6 ? kIpv6 : kIpv4, .pad = 0, .fcs = 0};
}

class ErfEncoder final : public Encoder {
 public:
  explicit ErfEncoder(const EncoderOptions& options)
      : unit_(options.nanosecond ? 1 : 1000),
        limits_{.snaplen = std::min<uint32_t>(options.snaplen, UINT16_MAX - kHeaderBytes - kEthernetPad),
                .end_ns = (uint64_t{1} << 32) * kSecond},
        lost_(options.interfaces.size()) {}

  void header(EncodeBuffer&) override {}

  std::optional<Error> refuses(uint32_t link_type) const override {
    switch (link_type) {
      case kLinkEthernet:
      case kLinkRaw:
      case kLinkIpv4:
      case kLinkIpv6:
      case kLinkCiscoHdlc:
      case kLinkErf:
        return std::nullopt;
      default:
        return Error{.code = Code::kBadOption,
                     .message = "packets of link type " + std::to_string(link_type) + " do not fit an ERF file",
                     .hint = "ERF is written of Ethernet, raw IP, Cisco HDLC and ERF records; use pcapng: for others."};
    }
  }
  const PacketLimits& limits() const noexcept override { return limits_; }

  std::optional<Error> encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) override;

  void lost(uint32_t source, uint64_t packets) override { lost_[source] += packets; }

  void trailer(const std::vector<std::optional<DropCounts>>&, EncodeBuffer&) override {}
  uint32_t trailer_bytes() const override { return 0; }

  Record record(const EncodeBuffer& buffer, uint32_t at) const override {
    return {.end = at + load_big<uint16_t>(buffer.data + at + 10), .is_packet = true};
  }

 private:
  std::byte* copy(std::byte* at, const CheckedPacket& packet) const noexcept;
  std::byte* make(std::byte* at, const CheckedPacket& packet, const Shape& shape, uint16_t interface,
                  uint64_t& lost) const noexcept;

  const uint32_t unit_;  // ns
  const PacketLimits limits_;
  std::vector<uint64_t> lost_;  // before the next packet of each source
};

/// A record as it was, but as long as it is now, and of the time that its packet has by now. Null where the bytes are
/// no record that every reader finds the end of.
std::byte* ErfEncoder::copy(std::byte* at, const CheckedPacket& packet) const noexcept {
  if (packet.caplen < kHeaderBytes) return nullptr;
  std::memcpy(at, packet.data, packet.caplen);
  // SAFETY: the copy is looked at, which JS cannot change.
  if (after_extensions(at, packet.caplen) > packet.caplen) return nullptr;
  const auto time = load_little<uint64_t>(at);
  const uint64_t unix_ns = (time >> 32) * kSecond + static_cast<uint64_t>(nanoseconds(time & UINT32_MAX));
  if (unix_ns != packet.unix_ns) store_little<uint64_t>(at, time_of(packet.unix_ns));
  store_big<uint16_t>(at + 10, static_cast<uint16_t>(packet.caplen));
  return at + packet.caplen;
}

std::byte* ErfEncoder::make(std::byte* at, const CheckedPacket& packet, const Shape& shape, uint16_t interface,
                            uint64_t& lost) const noexcept {
  const uint32_t length = kHeaderBytes + shape.pad + packet.caplen;
  const uint64_t on_wire = uint64_t{packet.wirelen} + shape.fcs;
  at = store_little<uint64_t>(at, time_of(packet.unix_ns / unit_ * unit_));
  at = store<uint8_t>(at, shape.type);
  at = store<uint8_t>(at, static_cast<uint8_t>(kVaryingLength | (interface & 3)));
  at = store_big<uint16_t>(at, static_cast<uint16_t>(length));
  const auto told = static_cast<uint16_t>(std::min<uint64_t>(lost, UINT16_MAX));
  lost -= told;
  at = store_big<uint16_t>(at, told);
  at = store_big<uint16_t>(at, static_cast<uint16_t>(std::min<uint64_t>(on_wire, UINT16_MAX)));
  std::memset(at, 0, shape.pad);
  at += shape.pad;
  std::memcpy(at, packet.data, packet.caplen);
  return at + packet.caplen;
}

std::optional<Error> ErfEncoder::encode(const BatchView& batch, uint32_t& next, EncodeBuffer& buffer) {
  if (auto refused = refuses(batch.link_type)) return refused;
  std::byte* at = buffer.data + buffer.used;
  const std::byte* const end = buffer.data + buffer.capacity;
  const bool is_whole = batch.link_type == kLinkErf;
  uint64_t& lost = lost_[batch.source];
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
    const auto shape = shape_of(batch.link_type, packet);
    const uint32_t bytes = packet.caplen + (is_whole ? 0 : kHeaderBytes + shape.pad);
    if (static_cast<size_t>(end - at) < bytes) break;
    if (is_whole) {
      std::byte* const after = copy(at, packet);
      if (after == nullptr) {
        error = Error{.code = Code::kUnsupported,
                      .message = "packet " + std::to_string(index) + " of the batch is no whole ERF record",
                      .hint = "Packets of link type 197 are records as open(uri, { erf: 'records' }) gives them."};
        break;
      }
      at = after;
    } else {
      const bool is_one = lost_.size() == 1;
      const uint16_t queue = batch.queue != nullptr ? load_once(&batch.queue[index]) : uint16_t{0};
      at = make(at, packet, shape, is_one ? queue : static_cast<uint16_t>(batch.source), lost);
    }
    times.add(packet.unix_ns);
  }
  buffer.used = static_cast<uint32_t>(at - buffer.data);
  buffer.packets += i - next;
  times.put(buffer);
  next = i;
  return error;
}

}  // namespace

std::unique_ptr<Encoder> make_erf_encoder(const EncoderOptions& options) {
  return std::make_unique<ErfEncoder>(options);
}

}  // namespace ringtap
