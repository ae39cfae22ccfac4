#include "decode/tunnel.h"

#include <algorithm>
#include <cstring>

#include "decode/tunnel_headers.h"

namespace ringtap::decode {
namespace {

/// What a packet's link and IP headers say, as far as tunnels are concerned.
struct Outer {
  Place place;
  uint16_t type = 0;     // ethertype
  uint8_t protocol = 0;  // 255: nothing that is followed
  uint32_t source[4] = {};
  bool is_6 = false;
};

constexpr uint8_t kNothing = 255;
constexpr int kMostTags = 8;
constexpr int kMostExtensions = 8;

/// Goes on behind the link header, VLAN tags included.
RINGTAP_INLINE bool skip_link(const Bytes& bytes, Outer& out) noexcept {
  Place& place = out.place;
  switch (place.link_type) {
    case kLinkEthernet:
      if (!bytes.has(place.at, 14)) return false;
      out.type = bytes.u16(place.at + 12);
      place.at += 14;
      break;
    case kLinkRaw:
    case kLinkIpv4:
    case kLinkIpv6:
      if (!bytes.has(place.at, 1)) return false;
      out.type = bytes.u8(place.at) >> 4 == 6 ? kIpv6Type : kIpv4Type;
      return true;
    case kLinkLinuxSll:
      if (!bytes.has(place.at, 16)) return false;
      out.type = bytes.u16(place.at + 14);
      place.at += 16;
      break;
    case kLinkLinuxSll2:
      if (!bytes.has(place.at, 20)) return false;
      out.type = bytes.u16(place.at);
      place.at += 20;
      break;
    case kLinkNull:
    case kLinkLoop:
      if (!bytes.has(place.at, 5)) return false;
      place.at += 4;
      out.type = bytes.u8(place.at) >> 4 == 6 ? kIpv6Type : kIpv4Type;
      return true;
    case kLinkPpp:
    case kLinkPppHdlc:
    case kLinkCiscoHdlc: {
      PppHeader header;
      if (!read_ppp(bytes, place.at, header)) return false;
      out.type = header.type;
      place.at += header.bytes;
      break;
    }
    default:
      return false;
  }
  for (int tags = 0; is_vlan(out.type); tags++) {
    if (tags == kMostTags || !bytes.has(place.at, 4)) return false;
    out.type = bytes.u16(place.at + 2);
    place.at += 4;
  }
  return true;
}

RINGTAP_INLINE bool skip_ipv4(const Bytes& bytes, Outer& out) noexcept {
  Place& place = out.place;
  if (!bytes.has(place.at, 20)) return false;
  const uint8_t first = pinned(bytes.u8(place.at));
  const uint32_t header = (first & 15) * 4u;
  const uint64_t total = pinned(bytes.u16(place.at + 2));
  if (first >> 4 != 4 || header < 20) return false;
  if (total >= header) {  // 0 is left for the network card to fill in
    place.announced = place.at + total;
    place.end = std::min(place.end, place.announced);
  } else if (total != 0) {
    return false;
  }
  out.protocol = (bytes.u16(place.at + 6) & 0x3fff) == 0 ? bytes.u8(place.at + 9) : kNothing;
  out.source[0] = bytes.u32(place.at + 12);
  place.at += header;
  return true;
}

RINGTAP_INLINE bool skip_ipv6(const Bytes& bytes, Outer& out) noexcept {
  Place& place = out.place;
  if (!bytes.has(place.at, 40) || bytes.u8(place.at) >> 4 != 6) return false;
  const uint64_t length = pinned(bytes.u16(place.at + 4));
  if (length != 0) {  // else a jumbo payload, which is as long as the frame
    place.announced = place.at + 40 + length;
    place.end = std::min(place.end, place.announced);
  }
  out.protocol = bytes.u8(place.at + 6);
  out.is_6 = true;
  for (size_t i = 0; i < 4; i++) out.source[i] = bytes.u32(place.at + 8 + i * 4);
  place.at += 40;
  for (int i = 0; out.protocol == kHopByHop || out.protocol == kRouting || out.protocol == kDestinationOptions; i++) {
    if (i == kMostExtensions || !bytes.has(place.at, 2)) return false;
    out.protocol = bytes.u8(place.at);
    place.at += (size_t{bytes.u8(place.at + 1)} + 1) * 8;
  }
  return true;
}

/// UDP to a port that tells a kind: on to its payload.
RINGTAP_INLINE TunnelKind skip_udp(const Bytes& bytes, Place& place) noexcept {
  if (!bytes.has(place.at, 8)) return TunnelKind::kNone;
  const TunnelKind kind = kind_of_port(bytes.u16(place.at + 2));
  if (kind == TunnelKind::kNone) return kind;
  const uint64_t length = pinned(bytes.u16(place.at + 4));
  if (length < 8) return TunnelKind::kNone;
  place.end = std::min(place.end, place.at + length);
  place.at += 8;
  return kind;
}

/// Which tunnel begins in the packet at `out.place`, which goes on to the tunnel's header.
RINGTAP_INLINE TunnelKind find_tunnel(const Bytes& bytes, Outer& out) noexcept {
  if (!skip_link(bytes, out)) return TunnelKind::kNone;
  if (out.type == kIpv4Type) [[likely]] {
    if (!skip_ipv4(bytes, out)) return TunnelKind::kNone;
  } else if (out.type == kIpv6Type) {
    if (!skip_ipv6(bytes, out)) return TunnelKind::kNone;
  } else {
    return out.type == kMplsType || out.type == kMplsMulticastType ? TunnelKind::kMpls : TunnelKind::kNone;
  }
  if (out.protocol == kUdp) return skip_udp(bytes, out.place);
  return out.protocol == kGreProtocol ? TunnelKind::kGre : TunnelKind::kNone;
}

/// WHY the largest of three: mirrors cut packets, and what is around a cut one fits around what is left of it.
RINGTAP_INLINE Inner inner_of(const Bytes& bytes, const Place& place) noexcept {
  const uint64_t around = place.end - place.at;
  const uint64_t own = place.announced > place.at ? place.announced - place.at : 0;
  Inner inner;
  inner.at = static_cast<uint32_t>(place.at);
  inner.caplen = static_cast<uint32_t>(std::min<uint64_t>(bytes.size, place.end) - place.at);
  inner.wirelen = static_cast<uint32_t>(std::max({around, own, place.told_wirelen}));
  inner.link_type = place.link_type;
  return inner;
}

}  // namespace

bool find_inner(const Bytes& bytes, uint32_t wirelen, uint32_t link_type, TunnelKinds kinds, Inner& inner,
                TunnelRow& row) noexcept {
  Place found{.at = 0, .end = wirelen, .announced = 0, .link_type = link_type};
  TunnelRow about;
  uint32_t depth = 0;
  for (;;) {
    Outer outer{.place = found};
    outer.place.announced = 0;
    const TunnelKind kind = find_tunnel(bytes, outer);
    found.announced = outer.place.announced;
    if (kind == TunnelKind::kNone || depth == kDeepestTunnel) break;
    Place next = outer.place;
    next.announced = 0;
    Header header;
    if (!open_header(bytes, kind, kinds, next, header)) break;
    if (next.at >= std::min<uint64_t>(bytes.size, next.end) || next.at > kMostOuterBytes) break;
    depth++;
    about = header.row;
    std::memcpy(about.source, outer.source, sizeof about.source);
    about.set_kind(header.kind, depth, next.at, header.flags | (outer.is_6 ? kTunnelFrom6 : 0u));
    found = next;
    found.announced = 0;
    found.told_wirelen = next.told_wirelen;
  }
  if (depth == 0) return false;
  inner = inner_of(bytes, found);
  if (row.about != 0) [[unlikely]] {
    about.set_kind(about.kind(), std::min(depth + row.depth(), 15u),
                   std::min<uint64_t>(found.at + row.outer_bytes(), kMostOuterBytes), about.about & kTunnelFlags);
  }
  row = about;
  return true;
}

bool open_tunnel(const Bytes& bytes, TunnelKind kind, Inner& inner, TunnelRow& row) noexcept {
  Place place{.at = 0, .end = bytes.size, .announced = 0, .link_type = kLinkEthernet};
  const TunnelKind carrier = kind == TunnelKind::kErspan ? TunnelKind::kGre : kind;
  Header header;
  if (!open_header(bytes, carrier, set_of(kind), place, header)) return false;
  if (place.at >= place.end) return false;
  Outer within{.place = place};
  within.place.announced = 0;
  find_tunnel(bytes, within);
  place.announced = within.place.announced;
  inner = inner_of(bytes, place);
  row = header.row;
  row.set_kind(header.kind, 1, place.at, header.flags);
  return true;
}

}  // namespace ringtap::decode
