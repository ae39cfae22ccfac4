// Link headers and VLAN tags.
#pragma once

#include "core/link_type.h"
#include "decode/ipv4.h"
#include "decode/ipv6.h"

namespace ringtap::decode {

/// A packet as a batch describes it.
struct Packet {
  Bytes bytes;
  uint64_t wirelen = 0;
  bool has_tag = false;  // `tag` was taken out of the bytes
  uint16_t tag = 0;
};

constexpr uint16_t kIpv4Type = 0x0800;
constexpr uint16_t kIpv6Type = 0x86dd;
constexpr uint16_t kVlanType = 0x8100;

constexpr uint16_t kMplsType = 0x8847;
constexpr uint16_t kMplsMulticastType = 0x8848;

constexpr bool is_vlan(uint16_t type) noexcept {
  return type == kVlanType || type == 0x88a8 || type == 0x9100 || type == 0x9200;
}

inline void add_tag(uint16_t tpid, uint16_t tci, Headers& out) noexcept {
  if (out.vlan_count == 0) {
    out.outer_tpid = tpid;
    out.outer_tci = tci;
  } else if (out.vlan_count == 1) {
    out.inner_tpid = tpid;
    out.inner_tci = tci;
  }
  if (out.vlan_count < UINT8_MAX) out.vlan_count++;
}

RINGTAP_INLINE void decode_network(const Packet& packet, uint64_t at, uint16_t type, Headers& out) noexcept {
  out.ether_type = type;
  if (packet.bytes.has(at, 1)) [[likely]]
    out.network_offset = static_cast<uint32_t>(at);
  const uint64_t wire = packet.wirelen > at ? packet.wirelen - at : 0;
  if (type == kIpv4Type) {
    decode_ipv4(packet.bytes, at, wire, out);
  } else if (type == kIpv6Type) {
    decode_ipv6(packet.bytes, at, wire, out);
  }
}

/// What `type` announces at `at`, beyond any VLAN tags.
RINGTAP_INLINE void decode_tagged(const Packet& packet, uint64_t at, uint16_t type, Headers& out) noexcept {
  if (packet.has_tag) [[unlikely]]
    add_tag(kVlanType, packet.tag, out);
  while (is_vlan(type)) [[unlikely]] {
      if (!packet.bytes.has(at, 4)) {
        out.ether_type = type;
        out.flags |= kCut;
        return;
      }
      add_tag(type, packet.bytes.u16(at), out);
      type = packet.bytes.u16(at + 2);
      at += 4;
    }
  decode_network(packet, at, type, out);
}

/// A link header of `header` bytes with an ethertype in it. @param type_at where
RINGTAP_INLINE void decode_typed(const Packet& packet, uint64_t header, uint64_t type_at, Headers& out) noexcept {
  if (packet.bytes.has(0, header)) [[likely]] {
    decode_tagged(packet, header, packet.bytes.u16(type_at), out);
  } else {
    out.flags |= kCut;
  }
}

/// IPv4 or IPv6, as the first half-byte says.
inline void decode_raw(const Packet& packet, Headers& out) noexcept {
  if (!packet.bytes.has(0, 1)) [[unlikely]] {
    out.flags |= kCut;
    return;
  }
  const uint8_t version = packet.bytes.u8(0) >> 4;
  if (version == 4) {
    decode_network(packet, 0, kIpv4Type, out);
  } else if (version == 6) {
    decode_network(packet, 0, kIpv6Type, out);
  } else {
    out.network_offset = 0;
    out.flags |= kBadVersion;
  }
}

/// BSD's: the address family, in the byte order of whoever captured it.
inline void decode_loopback(const Packet& packet, Headers& out) noexcept {
  if (!packet.bytes.has(0, 4)) [[unlikely]] {
    out.flags |= kCut;
    return;
  }
  uint32_t family = packet.bytes.u32(0);
  if (family > 0xffff) family = swap_bytes(family);
  switch (family) {
    case 2:
      decode_network(packet, 4, kIpv4Type, out);
      return;
    case 24:  // NetBSD, OpenBSD
    case 28:  // FreeBSD
    case 30:  // macOS
      decode_network(packet, 4, kIpv6Type, out);
      return;
    default:
      if (packet.bytes.has(4, 1)) out.network_offset = 4;
  }
}

/// What a header of PPP announces.
struct PppHeader {
  uint64_t bytes = 0;
  uint16_t type = 0;  // an ethertype; 0: it is about the link itself, or nothing that is known
};

/// PPP, or Cisco's HDLC, which lines that are set to PPP may speak, too. Either end of the header may be left out: the
/// first two bytes, where both ends have agreed on that, and the first byte of a protocol below 256. False: it is cut.
inline bool read_ppp(const Bytes& bytes, uint64_t at, PppHeader& out) noexcept {
  if (!bytes.has(at, 2)) return false;
  const uint8_t address = pinned(bytes.u8(at));
  if (address == 0x0f || address == 0x8f) {
    if (!bytes.has(at, 4)) return false;
    out = {4, bytes.u16(at + 2)};
    return true;
  }
  const uint64_t framing = address == 0xff && bytes.u8(at + 1) == 3 ? 2 : 0;
  if (!bytes.has(at + framing, 1)) return false;
  const uint8_t first = pinned(bytes.u8(at + framing));
  const bool is_short = (first & 1) != 0;
  if (!is_short && !bytes.has(at + framing, 2)) return false;
  out.bytes = framing + (is_short ? 1 : 2);
  switch (is_short ? first : first << 8 | bytes.u8(at + framing + 1)) {
    case 0x21:
      out.type = kIpv4Type;
      return true;
    case 0x57:
      out.type = kIpv6Type;
      return true;
    case 0x281:
      out.type = kMplsType;
      return true;
    case 0x283:
      out.type = kMplsMulticastType;
      return true;
    default:
      out.type = 0;
      return true;
  }
}

inline void decode_ppp(const Packet& packet, Headers& out) noexcept {
  PppHeader header;
  if (read_ppp(packet.bytes, 0, header)) [[likely]] {
    decode_tagged(packet, header.bytes, header.type, out);
  } else {
    out.flags |= kCut;
  }
}

/// One link type's headers. WHY a template: a batch has one link type, which need not be asked for each packet.
template <uint32_t kLinkType>
inline void decode_link(const Packet& packet, Headers& out) noexcept {
  if constexpr (kLinkType == kLinkEthernet) {
    decode_typed(packet, 14, 12, out);
  } else if constexpr (kLinkType == kLinkLinuxSll) {
    decode_typed(packet, 16, 14, out);
  } else if constexpr (kLinkType == kLinkLinuxSll2) {
    decode_typed(packet, 20, 0, out);
  } else if constexpr (kLinkType == kLinkNull) {
    decode_loopback(packet, out);
  } else if constexpr (kLinkType == kLinkPpp) {
    decode_ppp(packet, out);
  } else if constexpr (kLinkType == kLinkRaw) {
    decode_raw(packet, out);
  } else {
    out.flags |= kUnknownLink;
  }
}

}  // namespace ringtap::decode
