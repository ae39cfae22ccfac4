#include "decode/share_hash.h"

#include <algorithm>

#include "decode/headers.h"
#include "decode/link.h"

namespace ringtap::decode {
namespace {

using namespace share_hash;

constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;

/// Where the network header is, and its ethertype: 0 where there is none.
struct Network {
  uint64_t at = 0;
  uint16_t type = 0;
};

uint16_t type_by_version(const Bytes& bytes, uint64_t at) noexcept {
  if (!bytes.has(at, 1)) return 0;
  return bytes.u8(at) >> 4 == 6 ? kIpv6Type : kIpv4Type;
}

Network network_of(const Bytes& bytes, uint32_t link_type) noexcept {
  Network network;
  const auto typed = [&](uint64_t header, uint64_t type_at) {
    if (bytes.has(0, header)) network = {.at = header, .type = bytes.u16(type_at)};
  };
  switch (link_type) {
    case kLinkEthernet:
      typed(14, 12);
      break;
    case kLinkLinuxSll:
      typed(16, 14);
      break;
    case kLinkLinuxSll2:
      typed(20, 0);
      break;
    case kLinkRaw:
    case kLinkIpv4:
    case kLinkIpv6:
      return {.at = 0, .type = type_by_version(bytes, 0)};
    case kLinkNull:
    case kLinkLoop:
      return {.at = 4, .type = type_by_version(bytes, 4)};
    case kLinkPpp:
    case kLinkPppHdlc:
    case kLinkCiscoHdlc: {
      PppHeader header;
      if (read_ppp(bytes, 0, header)) network = {.at = header.bytes, .type = header.type};
      break;
    }
    default:
      return {};
  }
  for (uint32_t tags = 0; tags < kMostTags && is_vlan(network.type); tags++) {
    if (!bytes.has(network.at, 4)) return {};
    network = {.at = network.at + 4, .type = bytes.u16(network.at + 2)};
  }
  return network;
}

bool is_tunnel(uint16_t port) noexcept {
  return std::find(std::begin(kTunnelPorts), std::end(kTunnelPorts), port) != std::end(kTunnelPorts);
}

uint32_t address6(const Bytes& bytes, uint64_t at) noexcept {
  uint32_t folded = bytes.u32(at);
  for (uint64_t word = 4; word < 16; word += 4) folded = fold(folded, bytes.u32(at + word));
  return folded;
}

}  // namespace

ShareHasher::ShareHasher(ShareHash how)
    : how_(how), ports_(uses_ports(how)), quotes_(uses_quotes(how)), pieces_(uses_ports(how) ? kFragments : 0) {}

/// The same as hash() of what most packets are, at half the cost: TCP or UDP over IPv4 over Ethernet, and nothing else.
inline bool ShareHasher::hash_plain(const Bytes& bytes, uint32_t& hash) const noexcept {
  constexpr uint64_t kIp = 14, kPorts = kIp + 20;
  if (!bytes.has(kPorts, 4) || bytes.u16(12) != kIpv4Type || bytes.u8(kIp) != 0x45) return false;
  if ((bytes.u16(kIp + 6) & 0x3fff) != 0) return false;
  const uint8_t protocol = pinned(bytes.u8(kIp + 9));
  if (protocol != kTcpProtocol && protocol != kUdp) return false;
  const uint16_t source = pinned(bytes.u16(kPorts));
  const uint16_t destination = pinned(bytes.u16(kPorts + 2));
  if (protocol == kUdp && (is_tunnel(source) || is_tunnel(destination))) return false;
  hash = of(how_, end(bytes.u32(kIp + 12), source), end(bytes.u32(kIp + 16), destination));
  return true;
}

uint32_t ShareHasher::hash(const Bytes& bytes, uint32_t link_type) noexcept {
  uint32_t plain = 0;
  if (ports_ && link_type == kLinkEthernet && hash_plain(bytes, plain)) [[likely]]
    return plain;
  const Network network = network_of(bytes, link_type);
  Ends ends;
  Found found = Found::kNothing;
  if (network.type == kIpv4Type) {
    found = read4(bytes, network.at, false, ends);
  } else if (network.type == kIpv6Type) {
    found = read6(bytes, network.at, false, ends);
  }
  if (found == Found::kNothing) return 0;
  if (found == Found::kWhole) [[likely]]
    return hash_of(ends);
  Piece* const known = pieces_at(piece_);
  if (found == Found::kLater) {
    for (const Piece* piece = known; piece < known + 2; piece++) {
      if (piece->is_of(piece_)) return piece->hash;
    }
    orphans_++;
    return hash_of(ends);
  }
  piece_.hash = hash_of(ends);
  if (!known[0].is_of(piece_)) known[1] = known[0];
  known[0] = piece_;
  return piece_.hash;
}

uint32_t ShareHasher::hash_of(const Ends& ends) const noexcept {
  if (ends.has_ports) return of(how_, ends.source, ends.destination);
  return of(how_, end(ends.source, 0), end(ends.destination, 0));
}

ShareHasher::Piece* ShareHasher::pieces_at(const Piece& piece) noexcept {
  const uint32_t place = mix(piece.source ^ piece.id, piece.destination ^ piece.protocol << 16);
  return &pieces_[size_t{place % (kFragments / 2)} * 2];
}

ShareHasher::Found ShareHasher::piece_of(const Ends& ends, uint32_t id, uint32_t protocol, bool later) noexcept {
  piece_ = {.source = ends.source, .destination = ends.destination, .id = id, .protocol = protocol};
  return later ? Found::kLater : Found::kFirst;
}

ShareHasher::Found ShareHasher::read4(const Bytes& bytes, uint64_t at, bool quoted, Ends& ends) noexcept {
  if (!bytes.has(at, 20)) return Found::kNothing;
  const uint8_t first = pinned(bytes.u8(at));
  if (first >> 4 != 4 || (first & 15) < 5) return Found::kNothing;
  ends = {.source = bytes.u32(at + 12), .destination = bytes.u32(at + 16)};
  const uint8_t protocol = pinned(bytes.u8(at + 9));
  const auto offset = static_cast<uint16_t>(pinned(bytes.u16(at + 6)) & 0x3fff);
  Found found = Found::kWhole;
  if (offset != 0) [[unlikely]] {
    const bool later = (offset & 0x1fff) != 0;
    if (!quoted && ports_) found = piece_of(ends, bytes.u16(at + 4), protocol | 4u << 8, later);
    if (later) return found;
  }
  read_transport(bytes, at + uint64_t{first & 15u} * 4, protocol, false, quoted, ends);
  return found;
}

ShareHasher::Found ShareHasher::read6(const Bytes& bytes, uint64_t at, bool quoted, Ends& ends) noexcept {
  if (!bytes.has(at, 40) || bytes.u8(at) >> 4 != 6) return Found::kNothing;
  ends = {.source = address6(bytes, at + 8), .destination = address6(bytes, at + 24)};
  uint8_t protocol = pinned(bytes.u8(at + 6));
  Found found = Found::kWhole;
  at += 40;
  for (uint32_t i = 0; i < kMostExtensions; i++) {
    if (protocol == kFragmentHeader) {
      if (!bytes.has(at, 8)) return found;
      protocol = pinned(bytes.u8(at));
      const auto offset = static_cast<uint16_t>(pinned(bytes.u16(at + 2)) & 0xfff9);
      if (offset != 0) {
        const bool later = (offset & 0xfff8) != 0;
        if (!quoted && ports_) found = piece_of(ends, bytes.u32(at + 4), protocol | 6u << 8, later);
        if (later) return found;
      }
      at += 8;
    } else if (protocol == kHopByHop || protocol == kRouting || protocol == kDestinationOptions ||
               protocol == kAuthentication) {
      if (!bytes.has(at, 2)) return found;
      const bool authentication = protocol == kAuthentication;
      protocol = pinned(bytes.u8(at));
      const uint32_t words = pinned(bytes.u8(at + 1));
      at += authentication ? (words + 2) * 4 : (words + 1) * 8;
    } else {
      break;
    }
  }
  read_transport(bytes, at, protocol, true, quoted, ends);
  return found;
}

/// Ports, or what an error quotes. What is cut leaves the ends as they are.
void ShareHasher::read_transport(const Bytes& bytes, uint64_t at, uint8_t protocol, bool is6, bool quoted,
                                 Ends& ends) noexcept {
  if (ports_ && share_hash::has_ports(protocol)) [[likely]] {
    if (!bytes.has(at, 4)) return;
    const uint16_t source = pinned(bytes.u16(at));
    const uint16_t destination = pinned(bytes.u16(at + 2));
    if (protocol == kUdp && (is_tunnel(source) || is_tunnel(destination))) return;
    ends = {.source = end(ends.source, source), .destination = end(ends.destination, destination), .has_ports = true};
    return;
  }
  if (quoted || !quotes_ || protocol != (is6 ? kIcmp6 : kIcmp) || !bytes.has(at, 1)) return;
  const uint8_t type = pinned(bytes.u8(at));
  if (!(is6 ? is_icmp6_error(type) : is_icmp4_error(type))) return;
  Ends quote;
  const Found found = is6 ? read6(bytes, at + 8, true, quote) : read4(bytes, at + 8, true, quote);
  if (found != Found::kNothing) ends = quote;
}

}  // namespace ringtap::decode
