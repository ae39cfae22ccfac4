// The headers of each kind of tunnel.
#pragma once

#include "core/link_type.h"
#include "core/tunnel.h"
#include "decode/headers.h"
#include "decode/link.h"

namespace ringtap::decode {

/// How far the outer headers of a packet may reach.
constexpr uint64_t kMostOuterBytes = 0xffff;

constexpr uint16_t kBridgedType = 0x6558;
constexpr uint16_t kErspanType = 0x88be;
constexpr uint16_t kErspan3Type = 0x22eb;
constexpr uint8_t kGreProtocol = 47;

/// Where a packet lies, in bytes from the first one that was captured.
struct Place {
  uint64_t at = 0;
  uint64_t end = 0;        // on the wire, as what is around it says
  uint64_t announced = 0;  // its end, as its own IP header says; 0: it has none
  uint32_t link_type = 1;
  uint64_t told_wirelen = 0;  // by whoever mirrors; 0: it does not say
};

/// What a tunnel's header says.
struct Header {
  TunnelKind kind = TunnelKind::kNone;
  uint32_t flags = 0;
  TunnelRow row;

  void set_id(uint32_t id) noexcept {
    row.id = id;
    flags |= kTunnelHasId;
  }
  void set_time(uint64_t ns) noexcept {
    row.set_time(ns);
    flags |= kTunnelHasTime;
  }
};

/// By IANA, but for Linux's older VXLAN port, and TZSP's, which is MikroTik's habit.
constexpr TunnelKind kind_of_port(uint16_t port) noexcept {
  switch (port) {
    case 4789:
    case 8472:
      return TunnelKind::kVxlan;
    case 6081:
      return TunnelKind::kGeneve;
    case 37008:
      return TunnelKind::kTzsp;
    case 2152:
      return TunnelKind::kGtpU;
    default:
      return TunnelKind::kNone;
  }
}

/// What an ethertype says of the packet behind it. False for what is neither Ethernet nor IP.
inline bool set_link(uint16_t type, Place& place) noexcept {
  if (type == kBridgedType) {
    place.link_type = kLinkEthernet;
  } else if (type == kIpv4Type || type == kIpv6Type) {
    place.link_type = kLinkRaw;
  } else {
    return false;
  }
  return true;
}

RINGTAP_INLINE bool open_vxlan(const Bytes& bytes, Place& place, Header& header) noexcept {
  constexpr uint8_t kHasVni = 0x08;
  constexpr uint8_t kHasProtocol = 0x04;  // VXLAN-GPE
  if (!bytes.has(place.at, 8)) return false;
  const uint8_t flags = bytes.u8(place.at);
  if ((flags & kHasVni) == 0) return false;
  place.link_type = kLinkEthernet;
  if ((flags & kHasProtocol) != 0) [[unlikely]] {
    const uint8_t next = bytes.u8(place.at + 3);
    if (next < 1 || next > 3) return false;
    if (next < 3) place.link_type = kLinkRaw;
  }
  header.set_id(bytes.u32(place.at + 4) >> 8);
  place.at += 8;
  return true;
}

bool open_geneve(const Bytes& bytes, Place& place, Header& header) noexcept;
bool open_tzsp(const Bytes& bytes, Place& place, Header& header) noexcept;
bool open_mpls(const Bytes& bytes, Place& place, Header& header) noexcept;
bool open_gtp(const Bytes& bytes, Place& place, Header& header) noexcept;
/// GRE, and ERSPAN and MPLS in it: of `kinds`, whichever header.kind says then.
bool open_gre(const Bytes& bytes, TunnelKinds kinds, Place& place, Header& header) noexcept;

/// Goes on from the header of a tunnel of this kind to what lies in it. False where it is none, or none of `kinds`.
RINGTAP_INLINE bool open_header(const Bytes& bytes, TunnelKind kind, TunnelKinds kinds, Place& place,
                                Header& header) noexcept {
  header.kind = kind;
  if (kind == TunnelKind::kGre) return open_gre(bytes, kinds, place, header);
  if ((kinds & set_of(kind)) == 0) return false;
  switch (kind) {
    case TunnelKind::kVxlan:
      return open_vxlan(bytes, place, header);
    case TunnelKind::kGeneve:
      return open_geneve(bytes, place, header);
    case TunnelKind::kTzsp:
      return open_tzsp(bytes, place, header);
    case TunnelKind::kMpls:
      return open_mpls(bytes, place, header);
    case TunnelKind::kGtpU:
      return open_gtp(bytes, place, header);
    default:
      return false;
  }
}

}  // namespace ringtap::decode
