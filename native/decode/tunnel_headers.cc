#include "decode/tunnel_headers.h"

#include <algorithm>
#include <optional>

namespace ringtap::decode {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

/// Label stacks that are longer are none.
constexpr int kMostLabels = 16;
constexpr int kMostGtpExtensions = 8;
constexpr int kMostTags = 64;

/// ERSPAN III's clock, the unit of which it tells itself. @param at its header, of 12 bytes and 8 more where `has_more`
void read_erspan_time(const Bytes& bytes, uint64_t at, bool has_more, Header& header) noexcept {
  uint64_t time = bytes.u32(at + 4);
  const uint32_t unit = bytes.u16(at + 10) >> 1 & 3;
  const uint32_t platform = has_more ? bytes.u8(at + 12) >> 2 : 0;
  const uint64_t more = has_more ? bytes.u32(at + 16) : 0;
  if (platform == 3 || platform == 7) time |= more << 32;
  switch (unit) {
    case 0:
      header.set_time(time * 100'000);
      return;
    case 1:
      header.set_time(time * 100);
      return;
    case 2:  // IEEE 1588: seconds stand apart, where there are any
      header.set_time(platform == 5 || platform == 6 ? more * kSecond + time : time);
      return;
    default:
      return;
  }
}

bool open_erspan(const Bytes& bytes, bool is_numbered, Place& place, Header& header) noexcept {
  header.kind = TunnelKind::kErspan;
  place.link_type = kLinkEthernet;
  if (!is_numbered) return true;  // type I has no header
  if (!bytes.has(place.at, 8) || bytes.u8(place.at) >> 4 != 1) return false;
  const uint16_t session = bytes.u16(place.at + 2);
  header.set_id(session & 0x3ff);
  if ((session & 0x400) != 0) header.flags |= kTunnelCut;
  place.at += 8;
  return true;
}

bool open_erspan3(const Bytes& bytes, Place& place, Header& header) noexcept {
  header.kind = TunnelKind::kErspan;
  if (!bytes.has(place.at, 12) || bytes.u8(place.at) >> 4 != 2) return false;
  const uint16_t session = bytes.u16(place.at + 2);
  const uint16_t last = pinned(bytes.u16(place.at + 10));
  const bool has_more = (last & 1) != 0;
  const uint32_t size = has_more ? 20 : 12;
  if (!bytes.has(place.at, size)) return false;
  const uint32_t frame = last >> 10 & 31;
  if (frame != 0 && frame != 2) return false;
  place.link_type = frame == 0 ? kLinkEthernet : kLinkRaw;
  header.set_id(session & 0x3ff);
  if ((session & 0x400) != 0) header.flags |= kTunnelCut;
  read_erspan_time(bytes, place.at, has_more, header);
  place.at += size;
  return true;
}

/// LINKTYPE_ values of TZSP's words for them; nothing for others.
std::optional<uint32_t> tzsp_link(uint16_t encapsulation) noexcept {
  switch (encapsulation) {
    case 1:
      return kLinkEthernet;
    case 7:
      return kLinkRaw;
    case 18:
      return kLinkIeee80211;
    case 119:
      return kLinkPrism;
    case 127:
      return kLinkAvs;
    default:
      return std::nullopt;
  }
}

/// @param at the tag's value, of `size` bytes
void read_tzsp_tag(const Bytes& bytes, uint8_t tag, uint64_t at, uint8_t size, Place& place, Header& header) noexcept {
  constexpr uint8_t kTime = 13;
  constexpr uint8_t kLength = 41;
  constexpr uint8_t kExactTime = 233;  // libtrace's own
  if (tag == kLength && size == 2) {
    place.told_wirelen = bytes.u16(at);
  } else if (tag == kTime && size == 4 && (header.flags & kTunnelHasTime) == 0) {
    header.set_time(bytes.u32(at) * kSecond);
  } else if (tag == kExactTime && size == 16) {
    header.set_time(load_big<uint64_t>(bytes.data + at) * kSecond + load_big<uint64_t>(bytes.data + at + 8) * 1000);
  }
}

}  // namespace

bool open_geneve(const Bytes& bytes, Place& place, Header& header) noexcept {
  if (!bytes.has(place.at, 8)) return false;
  const uint8_t first = pinned(bytes.u8(place.at));
  const bool is_control = (bytes.u8(place.at + 1) & 0x80) != 0;
  if (first >> 6 != 0 || is_control || !set_link(bytes.u16(place.at + 2), place)) return false;
  header.set_id(bytes.u32(place.at + 4) >> 8);
  place.at += 8 + (first & 63) * 4u;
  return true;
}

bool open_tzsp(const Bytes& bytes, Place& place, Header& header) noexcept {
  constexpr uint8_t kPadding = 0;
  constexpr uint8_t kEnd = 1;
  if (!bytes.has(place.at, 4)) return false;
  // A packet that was received or one that was sent; the rest is about the sensor itself.
  if (bytes.u8(place.at) != 1 || bytes.u8(place.at + 1) > 1) return false;
  const auto link_type = tzsp_link(bytes.u16(place.at + 2));
  if (!link_type) return false;
  place.link_type = *link_type;
  uint64_t at = place.at + 4;
  for (int tags = 0; tags < kMostTags && bytes.has(at, 1); tags++) {
    const uint8_t tag = bytes.u8(at++);
    if (tag == kPadding) continue;
    if (tag == kEnd) {
      place.at = at;
      return true;
    }
    if (!bytes.has(at, 1)) return false;
    const uint8_t size = pinned(bytes.u8(at++));
    if (!bytes.has(at, size)) return false;
    read_tzsp_tag(bytes, tag, at, size, place, header);
    at += size;
  }
  return false;
}

bool open_mpls(const Bytes& bytes, Place& place, Header& header) noexcept {
  header.kind = TunnelKind::kMpls;
  for (int labels = 0; labels < kMostLabels && bytes.has(place.at, 4); labels++) {
    const uint32_t entry = bytes.u32(place.at);
    place.at += 4;
    if ((entry & 0x100) == 0) continue;  // not the last one
    header.set_id(entry >> 12);
    if (!bytes.has(place.at, 1)) return false;
    const uint8_t version = bytes.u8(place.at) >> 4;
    if (version == 4 || version == 6) {
      place.link_type = kLinkRaw;
      return true;
    }
    // A control word in front of a pseudo-wire's frame. Without one nobody can tell what follows.
    if (version != 0 || !bytes.has(place.at, 4)) return false;
    place.link_type = kLinkEthernet;
    place.at += 4;
    return true;
  }
  return false;
}

bool open_gtp(const Bytes& bytes, Place& place, Header& header) noexcept {
  constexpr uint8_t kVersion1 = 0x30;  // and no GTP'
  constexpr uint8_t kMore = 0x07;      // extensions, a sequence number, a N-PDU number
  constexpr uint8_t kExtensions = 0x04;
  constexpr uint8_t kPacket = 255;
  if (!bytes.has(place.at, 8)) return false;
  const uint8_t flags = pinned(bytes.u8(place.at));
  if ((flags & 0xf0) != kVersion1 || bytes.u8(place.at + 1) != kPacket) return false;
  const uint64_t end = place.at + 8 + pinned(bytes.u16(place.at + 2));
  header.set_id(bytes.u32(place.at + 4));
  uint64_t at = place.at + 8;
  if ((flags & kMore) != 0) {
    if (!bytes.has(at, 4)) return false;
    uint8_t next = (flags & kExtensions) != 0 ? bytes.u8(at + 3) : 0;
    at += 4;
    for (int i = 0; next != 0; i++) {
      if (i == kMostGtpExtensions || !bytes.has(at, 1)) return false;
      const uint32_t size = pinned(bytes.u8(at)) * 4u;
      if (size == 0 || !bytes.has(at, size)) return false;
      next = bytes.u8(at + size - 1);
      at += size;
    }
  }
  if (!bytes.has(at, 1)) return false;
  const uint8_t version = bytes.u8(at) >> 4;
  if (version != 4 && version != 6) return false;
  place.at = at;
  place.end = std::min(place.end, end);
  place.link_type = kLinkRaw;
  return true;
}

bool open_gre(const Bytes& bytes, TunnelKinds kinds, Place& place, Header& header) noexcept {
  constexpr uint16_t kChecksum = 0x8000;
  constexpr uint16_t kRouting = 0x4000;
  constexpr uint16_t kKey = 0x2000;
  constexpr uint16_t kSequence = 0x1000;
  constexpr uint16_t kVersion = 0x0007;
  header.kind = TunnelKind::kGre;
  if (!bytes.has(place.at, 4)) return false;
  const uint16_t flags = pinned(bytes.u16(place.at));
  if ((flags & (kRouting | kVersion)) != 0) return false;
  const uint16_t type = bytes.u16(place.at + 2);
  uint64_t at = place.at + 4 + ((flags & kChecksum) != 0 ? 4 : 0);
  if ((flags & kKey) != 0) {
    if (!bytes.has(at, 4)) return false;
    header.set_id(bytes.u32(at));
    at += 4;
  }
  if ((flags & kSequence) != 0) at += 4;
  place.at = at;
  const bool is_erspan = type == kErspanType || type == kErspan3Type;
  if ((kinds & set_of(is_erspan ? TunnelKind::kErspan : TunnelKind::kGre)) == 0) return false;
  if (type == kErspanType) return open_erspan(bytes, (flags & kSequence) != 0, place, header);
  if (type == kErspan3Type) return open_erspan3(bytes, place, header);
  if (type == kMplsType) return (kinds & set_of(TunnelKind::kMpls)) != 0 && open_mpls(bytes, place, header);
  return set_link(type, place);
}

}  // namespace ringtap::decode
