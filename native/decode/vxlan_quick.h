// The one tunnel that clouds mirror with, where nothing about it is special, in a handful of loads.
#pragma once

#include <algorithm>
#include <cstring>

#include "decode/tunnel_headers.h"

namespace ringtap::decode {

/// A packet that find_inner() need not look at.
struct Quick {
  enum class Is : uint8_t {
    kUnknown,  // ask find_inner()
    kOther,    // no tunnel
    kVxlan,    // this, and no other in it
  };

  /// Where the inner packet begins.
  static constexpr uint32_t kAt = 14 + 20 + 8 + 8;
  /// As TunnelRow has it.
  static constexpr uint32_t kAbout = static_cast<uint32_t>(TunnelKind::kVxlan) | 1u << 8 | kTunnelHasId | kAt << 16;
};

/// Eight bytes, as they lie there. WHY so many at once: each is read once, whatever JavaScript writes meanwhile, and a
/// header takes two comparisons.
RINGTAP_INLINE uint64_t word_at(const std::byte* at) noexcept {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return pinned(word);
}

/// A number with these bits in a word's byte `kByte`.
template <unsigned kByte>
constexpr uint64_t in_byte(uint8_t bits) noexcept {
  return uint64_t{bits} << 8 * (kHostIsBig ? 7 - kByte : kByte);
}
/// The number in two bytes of a word, from `kByte` on.
template <unsigned kByte>
RINGTAP_INLINE uint16_t u16_of(uint64_t word) noexcept {
  const auto bits = static_cast<uint16_t>(word >> 8 * (kHostIsBig ? 6 - kByte : kByte));
  return kHostIsBig ? bits : swap_bytes(bits);
}
template <unsigned kByte>
RINGTAP_INLINE uint8_t u8_of(uint64_t word) noexcept {
  return static_cast<uint8_t>(word >> 8 * (kHostIsBig ? 7 - kByte : kByte));
}

/// Of a word that begins with an ethertype: IPv4 without options?
RINGTAP_INLINE bool is_plain_ipv4(uint64_t head) noexcept {
  constexpr uint64_t kMask = in_byte<0>(0xff) | in_byte<1>(0xff) | in_byte<2>(0xff);
  return (head & kMask) == (in_byte<0>(kIpv4Type >> 8) | in_byte<1>(kIpv4Type & 0xff) | in_byte<2>(0x45));
}

constexpr uint16_t kVxlanPort = 4789;

/// Of any kind. WHY by the upper byte first: one test, which few ports pass, and none of the well-known ones.
RINGTAP_INLINE bool is_tunnels_port(uint16_t port) noexcept {
  constexpr auto bit_of = [](uint32_t number) { return uint64_t{1} << (number >> 8 & 63); };
  constexpr uint64_t kUpper = bit_of(4789) | bit_of(8472) | bit_of(6081) | bit_of(37008) | bit_of(2152);
  return (kUpper & bit_of(port)) != 0 && kind_of_port(port) != TunnelKind::kNone;
}

/// Ethernet without tags, IPv4 without options, and what is behind it: not IPv4, to the generic way. What it decides it
/// decides as find_inner() does. WHY not through the same functions, and why `found` is told instead of a struct
/// returned: what goes through memory in pieces and is read back as one stalls for longer than all of this takes.
/// @param found (caplen, wirelen, vni, source) of a packet that is kVxlan
template <class Found>
RINGTAP_INLINE Quick::Is look_quickly(const Bytes& bytes, uint32_t wirelen, const Found& found) noexcept {
  using Is = Quick::Is;
  constexpr uint32_t kType = 12;
  constexpr uint32_t kUdpAt = kType + 2 + 20;
  constexpr uint32_t kInnerType = Quick::kAt + kType;
  constexpr uint32_t kInnerUdpAt = Quick::kAt + kUdpAt;

  if (!bytes.has(kType, 2 + 20)) return Is::kUnknown;
  const uint64_t head = word_at(bytes.data + kType);
  const uint64_t next = word_at(bytes.data + kType + 8);
  if (!is_plain_ipv4(head)) return Is::kUnknown;
  if (u8_of<3>(next) != kUdp) return u8_of<3>(next) == kGreProtocol ? Is::kUnknown : Is::kOther;
  if ((u16_of<0>(next) & 0x3fff) != 0) return Is::kUnknown;  // a fragment
  if (!bytes.has(kUdpAt, 8)) return Is::kUnknown;
  const uint64_t udp = word_at(bytes.data + kUdpAt);
  if (u16_of<2>(udp) != kVxlanPort) return is_tunnels_port(u16_of<2>(udp)) ? Is::kUnknown : Is::kOther;

  // All lengths agree, as they do unless somebody has cut the packet.
  if (!bytes.has(kInnerUdpAt, 4)) return Is::kUnknown;
  const uint32_t end = kType + 2 + u16_of<4>(head);
  if (end != kUdpAt + u16_of<4>(udp)) return Is::kUnknown;
  if (end > wirelen) return Is::kUnknown;
  if (end <= Quick::kAt) return Is::kUnknown;
  if (bytes.u8(kUdpAt + 8) != 0x08) return Is::kUnknown;

  // What lies in it is IPv4, too, and no tunnel.
  const uint64_t inner = word_at(bytes.data + kInnerType);
  if (!is_plain_ipv4(inner)) return Is::kUnknown;
  const uint32_t total = u16_of<4>(inner);
  if (total < 20) return Is::kUnknown;
  if (bytes.u8(kInnerType + 11) == kGreProtocol) return Is::kUnknown;
  if (is_tunnels_port(bytes.u16(kInnerUdpAt + 2))) return Is::kUnknown;

  const auto size = static_cast<uint32_t>(bytes.size);
  found((size < end ? size : end) - Quick::kAt, std::max(end - Quick::kAt, kType + 2 + total),
        bytes.u32(kUdpAt + 12) >> 8, bytes.u32(kType + 2 + 12));
  return Is::kVxlan;
}

}  // namespace ringtap::decode
