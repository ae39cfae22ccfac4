// IPv4 and what it carries.
#pragma once

#include "decode/transport.h"

namespace ringtap::decode {

/// An IPv4 header at `at`. @param wire how many bytes there are from there on, on the wire
RINGTAP_INLINE void decode_ipv4(const Bytes& bytes, uint64_t at, uint64_t wire, Headers& out) noexcept {
  constexpr uint32_t kHeader = 20;
  if (!bytes.has(at, kHeader)) [[unlikely]] {
    out.flags |= bytes.has(at, 1) && bytes.u8(at) >> 4 != 4 ? kBadVersion : kCut;
    return;
  }
  const uint8_t first = pinned(bytes.u8(at));
  if (first >> 4 != 4) [[unlikely]] {
    out.flags |= kBadVersion;
    return;
  }
  const uint32_t header = (first & 15) * 4u;
  if (header < kHeader) [[unlikely]] {
    out.flags |= kBadHeaderLength;
    return;
  }
  uint64_t total = pinned(bytes.u16(at + 2));
  if (total > wire) [[unlikely]]
    out.flags |= kMissing;
  if (total == 0) [[unlikely]] {
    out.flags |= kOffloaded;
    total = wire;
  }
  if (total < header) [[unlikely]] {
    out.flags |= kBadLength;
    return;
  }
  const uint16_t fragment = bytes.u16(at + 6);
  out.ip_version = 4;
  out.ip_header_length = static_cast<uint8_t>(header);
  out.total_length = static_cast<uint32_t>(total);
  out.traffic_class = bytes.u8(at + 1);
  out.fragment_id = bytes.u16(at + 4);
  out.fragment_offset = static_cast<uint16_t>((fragment & 0x1fff) * 8);
  out.ttl = bytes.u8(at + 8);
  out.protocol = bytes.u8(at + 9);
  out.src4 = bytes.u32(at + 12);
  out.dst4 = bytes.u32(at + 16);
  if ((fragment & 0x3fff) != 0) [[unlikely]]
    out.flags |= kFragment;
  if ((fragment & 0x2000) != 0) [[unlikely]]
    out.flags |= kMore;
  if (header > kHeader) [[unlikely]] {
    out.flags |= kOptions;
    if (!bytes.has(at, header)) {
      out.flags |= kCut;
      return;
    }
  }
  if (out.fragment_offset != 0) [[unlikely]] {
    set_payload(bytes, at + header, at + total, out);
  } else {
    decode_transport(bytes, at + header, at + total, out);
  }
}

}  // namespace ringtap::decode
