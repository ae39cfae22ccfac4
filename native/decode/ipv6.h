// IPv6, its extension headers, and what it carries.
#pragma once

#include "decode/transport.h"

namespace ringtap::decode {

/// Where the walk over extension headers has got to.
struct Walk6 {
  uint64_t base = 0;  // of the IPv6 header
  uint64_t wire = 0;  // bytes from there on, on the wire
  uint64_t from = 0;  // of the header at hand, which out.protocol names
  uint64_t end = 0;   // of IP
};

/// Is it a header that lies between IPv6 and what it carries?
constexpr bool is_extension(uint8_t protocol) noexcept {
  return protocol == kHopByHop || protocol == kRouting || protocol == kFragmentHeader || protocol == kAuthentication ||
         protocol == kDestinationOptions;
}

/// Goes on to what is no extension header. False where nothing that follows is a transport header.
bool skip_extensions(const Bytes& bytes, Walk6& walk, Headers& out) noexcept;

/// An IPv6 header at `at`. @param wire how many bytes there are from there on, on the wire
inline void decode_ipv6(const Bytes& bytes, uint64_t at, uint64_t wire, Headers& out) noexcept {
  constexpr uint32_t kHeader = 40;
  if (!bytes.has(at, kHeader)) [[unlikely]] {
    out.flags |= bytes.has(at, 1) && bytes.u8(at) >> 4 != 6 ? kBadVersion : kCut;
    return;
  }
  const uint32_t first = bytes.u32(at);
  if (first >> 28 != 6) [[unlikely]] {
    out.flags |= kBadVersion;
    return;
  }
  const uint32_t total = kHeader + pinned(bytes.u16(at + 4));
  if (total > wire && total > kHeader) [[unlikely]]
    out.flags |= kMissing;
  out.ip_version = 6;
  out.ip_header_length = kHeader;
  out.total_length = total;
  out.traffic_class = static_cast<uint8_t>(first >> 20);
  out.ttl = bytes.u8(at + 7);
  out.protocol = bytes.u8(at + 6);
  out.addresses6 = static_cast<uint32_t>(at + 8);
  Walk6 walk{.base = at, .wire = wire, .from = at + kHeader, .end = at + total};
  if (is_extension(out.protocol)) [[unlikely]] {
    out.flags |= kOptions;
    if (!skip_extensions(bytes, walk, out)) return;
  }
  decode_transport(bytes, walk.from, walk.end, out);
}

}  // namespace ringtap::decode
