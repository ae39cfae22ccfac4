// TCP, UDP and other protocols with ports; of all others only where they begin.
#pragma once

#include <algorithm>

#include "decode/bytes.h"
#include "decode/headers.h"

namespace ringtap::decode {

/// The header's `count` bytes at `at` are there; else says why not. @param end where IP ends
inline bool reach(const Bytes& bytes, uint64_t at, uint64_t count, uint64_t end, Headers& out) noexcept {
  if (at + count > end) [[unlikely]] {
    out.flags |= kNoRoom;
    return false;
  }
  if (!bytes.has(at, count)) [[unlikely]] {
    out.flags |= kCut;
    return false;
  }
  return true;
}

/// What lies between `at` and `end`, which are not in disorder.
inline void set_payload(const Bytes& bytes, uint64_t at, uint64_t end, Headers& out) noexcept {
  const uint64_t captured = std::min(end, bytes.size);
  out.payload_length = static_cast<uint32_t>(std::min<uint64_t>(end - at, UINT32_MAX));
  if (at < captured) {
    out.payload_offset = static_cast<uint32_t>(at);
    out.payload_caplen = static_cast<uint32_t>(captured - at);
  }
  if (out.payload_caplen < out.payload_length) [[unlikely]]
    out.flags |= kPayloadCut;
}

RINGTAP_INLINE void decode_tcp(const Bytes& bytes, uint64_t at, uint64_t end, Headers& out) noexcept {
  constexpr uint64_t kHeader = 20;
  if (!reach(bytes, at, kHeader, end, out)) [[unlikely]]
    return;
  out.flags |= kTcp;
  out.sequence = bytes.u32(at + 4);
  out.acknowledgment = bytes.u32(at + 8);
  out.tcp_flags = bytes.u8(at + 13);
  out.window = bytes.u16(at + 14);
  const uint32_t length = pinned((bytes.u8(at + 12) >> 4) * 4u);
  if (length < kHeader || at + length > end) [[unlikely]] {
    out.flags |= kBadHeaderLength;
    return;
  }
  if (!bytes.has(at, length)) [[unlikely]]
    out.flags |= kCut;
  set_payload(bytes, at + length, end, out);
}

RINGTAP_INLINE void decode_udp(const Bytes& bytes, uint64_t at, uint64_t end, Headers& out) noexcept {
  constexpr uint64_t kHeader = 8;
  if (!reach(bytes, at, kHeader, end, out)) [[unlikely]]
    return;
  uint64_t length = pinned(bytes.u16(at + 4));
  // Jumbograms (RFC 2675) and segmentation offload do not say.
  if (length == 0 && (end - at > 0xffff || (out.flags & kOffloaded) != 0)) length = end - at;
  if (length < kHeader) [[unlikely]] {
    out.flags |= kBadLength;
    return;
  }
  if (length > end - at) [[unlikely]] {
    // The first of several fragments states the length of the whole.
    if ((out.flags & kFragment) == 0) out.flags |= kBadLength;
    length = end - at;
  }
  set_payload(bytes, at + kHeader, at + length, out);
}

/// @param at where the protocol begins @param end where IP ends
RINGTAP_INLINE void decode_transport(const Bytes& bytes, uint64_t at, uint64_t end, Headers& out) noexcept {
  if (bytes.has(at, 1)) out.transport_offset = static_cast<uint32_t>(at);
  switch (out.protocol) {
    case kTcpProtocol:
    case kUdp:
    case kUdpLite:
    case kSctp:
    case kDccp:
      break;
    default:
      set_payload(bytes, at, end, out);
      return;
  }
  if (!reach(bytes, at, 4, end, out)) [[unlikely]]
    return;
  out.flags |= kPorts;
  out.src_port = bytes.u16(at);
  out.dst_port = bytes.u16(at + 2);
  switch (out.protocol) {
    case kTcpProtocol:
      decode_tcp(bytes, at, end, out);
      return;
    case kUdp:
      decode_udp(bytes, at, end, out);
      return;
    case kUdpLite:  // its length field is that of the checksum's coverage
      if (reach(bytes, at, 8, end, out)) set_payload(bytes, at + 8, end, out);
      return;
    case kSctp:
      if (reach(bytes, at, 12, end, out)) set_payload(bytes, at + 12, end, out);
      return;
    default:
      return;
  }
}

}  // namespace ringtap::decode
