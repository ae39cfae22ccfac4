// The one tunnel that clouds mirror with, where nothing about it is special, in a handful of loads.
#pragma once

#include <algorithm>

#include "decode/tunnel_headers.h"

namespace ringtap::decode {

/// A packet that find_inner() need not look at.
struct Quick {
  enum class Is : uint8_t {
    kUnknown,  // ask find_inner()
    kOther,    // no tunnel
    kVxlan,    // this, and no other in it
  };
  Is is = Is::kUnknown;
  uint32_t caplen = 0;  // of the inner packet,
  uint32_t wirelen = 0;
  uint32_t vni = 0;
  uint32_t source = 0;

  /// Where the inner packet begins.
  static constexpr uint32_t kAt = 14 + 20 + 8 + 8;
  /// As TunnelRow has it.
  static constexpr uint32_t kAbout = static_cast<uint32_t>(TunnelKind::kVxlan) | 1u << 8 | kTunnelHasId | kAt << 16;
};

/// Ethernet without tags, IPv4 without options, and what is behind it: not IPv4, to the generic way. What it decides it
/// decides as find_inner() does. WHY not through the same functions: what they have found goes through memory, in
/// pieces that are read back as one, which stalls for longer than all of this takes.
RINGTAP_INLINE Quick look_quickly(const Bytes& bytes, uint32_t wirelen) noexcept {
  constexpr uint64_t kIp = 14;
  constexpr uint64_t kInnerIp = Quick::kAt + kIp;
  Quick quick;
  if (!bytes.has(kIp, 20) || bytes.u16(12) != kIpv4Type || bytes.u8(kIp) != 0x45) return quick;
  const uint32_t total = pinned(bytes.u16(kIp + 2));
  if (total < 20) return quick;
  const uint8_t protocol = pinned(bytes.u8(kIp + 9));
  if (protocol != kUdp) {
    if (protocol != kGreProtocol) quick.is = Quick::Is::kOther;
    return quick;
  }
  if ((bytes.u16(kIp + 6) & 0x3fff) != 0 || !bytes.has(kIp + 20, 8)) return quick;
  const TunnelKind kind = kind_of_port(bytes.u16(kIp + 22));
  if (kind == TunnelKind::kNone) quick.is = Quick::Is::kOther;
  if (kind != TunnelKind::kVxlan) return quick;
  const uint32_t length = pinned(bytes.u16(kIp + 24));
  // What lies in it is IPv4, too, and no tunnel.
  if (length < 8 || !bytes.has(kInnerIp, 20) || bytes.u8(kIp + 28) != 0x08) return quick;
  if (bytes.u16(Quick::kAt + 12) != kIpv4Type || bytes.u8(kInnerIp) != 0x45) return quick;
  const uint32_t inner_total = pinned(bytes.u16(kInnerIp + 2));
  if (inner_total < 20) return quick;
  const uint8_t inner_protocol = pinned(bytes.u8(kInnerIp + 9));
  if (inner_protocol == kGreProtocol) return quick;
  if (inner_protocol == kUdp && (bytes.u16(kInnerIp + 6) & 0x3fff) == 0 &&
      (!bytes.has(kInnerIp + 20, 8) || kind_of_port(bytes.u16(kInnerIp + 22)) != TunnelKind::kNone)) {
    return quick;
  }
  const uint32_t end =
      std::min({wirelen, static_cast<uint32_t>(kIp) + total, static_cast<uint32_t>(kIp) + 20 + length});
  if (end <= Quick::kAt) return quick;
  quick.is = Quick::Is::kVxlan;
  quick.caplen = static_cast<uint32_t>(std::min<uint64_t>(bytes.size, end)) - Quick::kAt;
  quick.wirelen = std::max(end - Quick::kAt, static_cast<uint32_t>(kIp) + inner_total);
  quick.vni = bytes.u32(kIp + 32) >> 8;
  quick.source = bytes.u32(kIp + 12);
  return quick;
}

}  // namespace ringtap::decode
