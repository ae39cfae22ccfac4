#include "forward/messages.h"

#include <algorithm>

#include "core/byte_order.h"
#include "core/checksum.h"
#include "forward/rewrite.h"

namespace ringtap::forward {

namespace {

constexpr uint8_t kSolicitation = 135, kAdvertisement = 136;
constexpr uint32_t kArpBytes = 28, kIpv4Bytes = 20, kIpv6Bytes = 40, kDiscoveryBytes = 24;
constexpr uint8_t kTtl = 64, kDiscoveryTtl = 255;

void put(Bytes& to, std::span<const std::byte> bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }
void put8(Bytes& to, unsigned value) { to.push_back(static_cast<std::byte>(value)); }
void put16(Bytes& to, unsigned value) {
  put8(to, value >> 8 & 0xff);
  put8(to, value & 0xff);
}
void put32(Bytes& to, uint32_t value) {
  put16(to, value >> 16);
  put16(to, value & 0xffff);
}

Bytes begin(const Envelope& envelope, uint16_t type) {
  Bytes frame;
  frame.reserve(128);
  put(frame, envelope.to);
  put(frame, envelope.from);
  put(frame, envelope.tags);
  put16(frame, type);
  return frame;
}

Mac read_mac(const std::byte* at) noexcept {
  Mac mac;
  std::copy_n(at, mac.size(), mac.begin());
  return mac;
}

void put_ipv4(Bytes& to, uint32_t payload, uint8_t carried, const Address& source, const Address& destination) {
  const size_t start = to.size();
  put16(to, 0x4500);
  put16(to, kIpv4Bytes + payload);
  put32(to, 0x4000);  // no id: it is not to be cut
  put8(to, kTtl);
  put8(to, carried);
  put16(to, 0);
  put(to, source.span());
  put(to, destination.span());
  store_big<uint16_t>(to.data() + start + 10, checksum::of(checksum::sum({to.data() + start, kIpv4Bytes})));
}

void put_ipv6(Bytes& to, uint32_t payload, uint8_t carried, uint8_t hops, const Address& source,
              const Address& destination) {
  put32(to, 0x60000000);
  put16(to, payload);
  put8(to, carried);
  put8(to, hops);
  put(to, source.span());
  put(to, destination.span());
}

/// The checksum of the ICMPv6 message that begins there, behind its header.
uint16_t icmp6_sum(std::span<const std::byte> frame, size_t header, size_t message) noexcept {
  const auto length = static_cast<uint32_t>(frame.size() - message);
  return checksum::of(checksum::pseudo_header(frame.subspan(header + 8, 32), protocol::kIcmp6, length) +
                      checksum::sum(frame.subspan(message)));
}

/// ff02::1:ffxx:xxxx
Address solicited_node(const Address& target) noexcept {
  Address group;
  group.v6 = true;
  group.bytes[0] = std::byte{0xff};
  group.bytes[1] = std::byte{2};
  group.bytes[11] = std::byte{1};
  group.bytes[12] = std::byte{0xff};
  std::copy_n(target.bytes.begin() + 13, 3, group.bytes.begin() + 13);
  return group;
}

Address all_nodes() noexcept {
  Address group;
  group.v6 = true;
  group.bytes[0] = std::byte{0xff};
  group.bytes[1] = std::byte{2};
  group.bytes[15] = std::byte{1};
  return group;
}

Bytes discovery(const Envelope& envelope, uint8_t type, uint32_t flags, const Address& source,
                const Address& destination, const Address& target, bool has_option) {
  Bytes frame = begin(envelope, kEtherIpv6);
  const size_t header = frame.size();
  put_ipv6(frame, kDiscoveryBytes + (has_option ? 8 : 0), protocol::kIcmp6, kDiscoveryTtl, source, destination);
  const size_t message = frame.size();
  put8(frame, type);
  put8(frame, 0);
  put16(frame, 0);
  put32(frame, flags);
  put(frame, target.span());
  if (has_option) {
    put8(frame, type == kSolicitation ? 1 : 2);
    put8(frame, 1);
    put(frame, envelope.from);
  }
  store_big<uint16_t>(frame.data() + message + 2, icmp6_sum(frame, header, message));
  return frame;
}

Bytes arp(const Envelope& envelope, uint16_t operation, const Address& sender, const Mac& target_mac,
          const Address& target) {
  Bytes frame = begin(envelope, kEtherArp);
  put16(frame, 1);
  put16(frame, kEtherIpv4);
  put16(frame, 0x0604);
  put16(frame, operation);
  put(frame, envelope.from);
  put(frame, sender.span());
  put(frame, target_mac);
  put(frame, target.span());
  return frame;
}

}  // namespace

std::optional<NeighbourTold> read_arp(std::span<const std::byte> frame, const Link& link) noexcept {
  if (frame.size() < link.network + size_t{kArpBytes}) return std::nullopt;
  const std::byte* at = frame.data() + link.network;
  const uint16_t operation = load_big<uint16_t>(at + 6);
  if (load_big<uint16_t>(at) != 1 || load_big<uint16_t>(at + 2) != kEtherIpv4 || load_big<uint16_t>(at + 4) != 0x0604 ||
      (operation != 1 && operation != 2)) {
    return std::nullopt;
  }
  return NeighbourTold{.kind = operation == 1 ? NeighbourTold::Kind::kRequest : NeighbourTold::Kind::kReply,
                       .sender = Address::from(at + 14, false),
                       .target = Address::from(at + 24, false),
                       .mac = read_mac(at + 8)};
}

bool is_discovery(std::span<const std::byte> frame, const Network& ip) noexcept {
  if (!ip.v6 || ip.protocol != protocol::kIcmp6 || !ip.is_first || ip.transport >= ip.end) return false;
  const auto type = std::to_integer<uint8_t>(frame[ip.transport]);
  return type >= 133 && type <= 137;
}

std::optional<NeighbourTold> read_discovery(const Frame& frame, const Network& ip) noexcept {
  constexpr uint8_t kOptionSource = 1, kOptionTarget = 2;
  const std::span<const std::byte> bytes = frame.bytes().first(ip.end);
  if (ip.ttl != kDiscoveryTtl || ip.is_fragment || ip.transport + kDiscoveryBytes > ip.end) return std::nullopt;
  const bool is_partial = frame.offload.is_partial() && frame.offload.sum_start == ip.transport;
  if (!is_partial && icmp6_sum(bytes, ip.start, ip.transport) != 0) return std::nullopt;
  const std::byte* at = bytes.data() + ip.transport;
  const auto type = std::to_integer<uint8_t>(at[0]);
  if ((type != kSolicitation && type != kAdvertisement) || at[1] != std::byte{0}) return std::nullopt;
  NeighbourTold told{.kind = type == kSolicitation ? NeighbourTold::Kind::kRequest : NeighbourTold::Kind::kReply,
                     .sender = ip.source(bytes),
                     .target = Address::from(at + 8, true),
                     .mac = read_mac(bytes.data() + 6)};
  if (type == kAdvertisement) told.sender = told.target;
  for (uint32_t option = ip.transport + kDiscoveryBytes; option + 8 <= ip.end;) {
    const uint32_t length = std::to_integer<uint32_t>(bytes[option + 1]) * 8;
    if (length == 0 || option + length > ip.end) return std::nullopt;
    if (std::to_integer<uint8_t>(bytes[option]) == (type == kSolicitation ? kOptionSource : kOptionTarget)) {
      told.mac = read_mac(bytes.data() + option + 2);
    }
    option += length;
  }
  return told;
}

Bytes neighbour_request(const Envelope& envelope, const Address& target, const std::optional<Address>& own) {
  Address source;
  source.v6 = target.v6;
  if (own) source = *own;
  if (!target.v6) return arp(envelope, 1, source, Mac{}, target);
  return discovery(envelope, kSolicitation, 0, source, solicited_node(target), target, own.has_value());
}

Bytes neighbour_reply(const Envelope& envelope, const Address& own, const Address& to, const Mac& to_mac,
                      bool solicited) {
  constexpr uint32_t kSolicitedFlag = 1u << 30, kOverride = 1u << 29;
  if (!own.v6) return solicited ? arp(envelope, 2, own, to_mac, to) : arp(envelope, 1, own, Mac{}, own);
  // One who looks whether an address is free has none to be answered at.
  const bool is_told = solicited && to.is_host();
  return discovery(envelope, kAdvertisement, (is_told ? kSolicitedFlag : 0) | kOverride, own,
                   is_told ? to : all_nodes(), own, true);
}

Mac request_group(const Address& target) noexcept {
  if (!target.v6) return kBroadcast;
  return {std::byte{0x33}, std::byte{0x33}, std::byte{0xff}, target.bytes[13], target.bytes[14], target.bytes[15]};
}

Mac everybody(bool v6) noexcept {
  return v6 ? Mac{std::byte{0x33}, std::byte{0x33}, std::byte{}, std::byte{}, std::byte{}, std::byte{1}} : kBroadcast;
}

std::optional<Bytes> icmp_error(const Envelope& envelope, std::span<const std::byte> frame, const Network& ip,
                                const Address& own, const IcmpError& error) {
  constexpr uint32_t kMost4 = 576, kMost6 = 1280;  // of the whole message: RFC 1812, RFC 4443
  const Address to = ip.source(frame);
  if (!to.is_host() || !ip.is_first) return std::nullopt;
  if (ip.protocol == (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp) &&
      (ip.transport >= ip.end || is_icmp_error(ip.v6, std::to_integer<uint8_t>(frame[ip.transport])))) {
    return std::nullopt;
  }
  const uint32_t headers = (ip.v6 ? kIpv6Bytes : kIpv4Bytes) + 8;
  const uint32_t quoted = std::min(ip.end - ip.start, (ip.v6 ? kMost6 : kMost4) - headers);
  Bytes made = begin(envelope, ip.v6 ? kEtherIpv6 : kEtherIpv4);
  const size_t header = made.size();
  if (ip.v6) {
    put_ipv6(made, 8 + quoted, protocol::kIcmp6, kTtl, own, to);
  } else {
    put_ipv4(made, 8 + quoted, protocol::kIcmp, own, to);
  }
  const size_t message = made.size();
  put8(made, ip.v6 ? error.type6 : error.type4);
  put8(made, ip.v6 ? error.code6 : error.code4);
  put16(made, 0);
  put32(made, error.word);
  put(made, frame.subspan(ip.start, quoted));
  const uint16_t sum = ip.v6 ? icmp6_sum(made, header, message)
                             : checksum::of(checksum::sum(std::span<const std::byte>(made).subspan(message)));
  store_big<uint16_t>(made.data() + message + 2, sum);
  return made;
}

std::vector<Bytes> fragments(std::span<const std::byte> frame, const Network& ip, uint32_t mtu) {
  std::vector<Bytes> pieces;
  const uint32_t header = ip.transport - ip.start;
  // WHY none with options: some of them belong into the first fragment only.
  if (ip.v6 || header != kIpv4Bytes || mtu < kIpv4Bytes + 8) return pieces;
  const uint32_t room = (mtu - header) & ~7u;
  const uint16_t before = load_big<uint16_t>(frame.data() + ip.start + 6);
  for (uint32_t at = ip.transport; at < ip.end; at += room) {
    const uint32_t bytes = std::min(room, ip.end - at);
    const bool more = at + bytes < ip.end || ip.more;
    Bytes piece;
    piece.reserve(ip.transport + bytes);
    put(piece, frame.first(ip.transport));
    put(piece, frame.subspan(at, bytes));
    std::byte* start = piece.data() + ip.start;
    const auto offset = static_cast<uint16_t>((before & 0x1fff) + (at - ip.transport) / 8);
    store_big<uint16_t>(start + 2, static_cast<uint16_t>(header + bytes));
    store_big<uint16_t>(start + 6, static_cast<uint16_t>((more ? 0x2000 : 0) | offset));
    store_big<uint16_t>(start + 10, uint16_t{0});
    store_big<uint16_t>(start + 10, checksum::of(checksum::sum({start, header})));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace ringtap::forward
