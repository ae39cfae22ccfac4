#include "decode/ipv6.h"

#include <cstdint>

namespace ringtap::decode {

namespace {

constexpr uint32_t kHeader = 40;

/// The length that the first jumbo payload option of a hop-by-hop header gives (RFC 2675); 0 where it gives none.
uint32_t jumbo_length(const Bytes& bytes, uint64_t from, uint64_t end) noexcept {
  constexpr uint8_t kPad1 = 0;
  constexpr uint8_t kJumboOption = 0xc2;
  constexpr uint32_t kLeast = 65536;  // a shorter one belongs into the header's own field
  for (uint64_t at = from + 2; at < end;) {
    const uint8_t type = bytes.u8(at);
    if (type == kPad1) {
      at++;
      continue;
    }
    if (at + 2 > end) return 0;
    const uint64_t length = pinned(bytes.u8(at + 1)) + uint64_t{2};
    if (at + length > end) return 0;
    if (type == kJumboOption) {
      const uint32_t jumbo = length == 6 ? bytes.u32(at + 2) : 0;
      return jumbo >= kLeast ? jumbo : 0;
    }
    at += length;
  }
  return 0;
}

/// A hop-by-hop header, whose bytes are all there.
bool hop_by_hop(const Bytes& bytes, uint64_t length, Walk6& walk, Headers& out) noexcept {
  if (out.total_length != kHeader) return true;
  const uint32_t jumbo = jumbo_length(bytes, walk.from, walk.from + length);
  if (jumbo == 0) {
    out.flags |= kBadLength;
    return false;
  }
  const uint64_t total = uint64_t{jumbo} + kHeader;
  out.flags |= kJumbo;
  if (total > walk.wire) out.flags |= kMissing;
  out.total_length = static_cast<uint32_t>(total > UINT32_MAX ? UINT32_MAX : total);
  walk.end = walk.base + total;
  return true;
}

/// A fragment header, whose bytes are all there. False where it is not that of the first fragment.
bool fragment(const Bytes& bytes, Walk6& walk, Headers& out) noexcept {
  const uint16_t offset = bytes.u16(walk.from + 2);
  out.fragment_id = bytes.u32(walk.from + 4);
  out.fragment_offset = offset & 0xfff8;
  if ((offset & 0xfff9) != 0) out.flags |= kFragment;
  if ((offset & 1) != 0) out.flags |= kMore;
  return out.fragment_offset == 0;
}

uint64_t length_of(const Bytes& bytes, uint64_t from, uint8_t protocol) noexcept {
  const uint64_t units = pinned(bytes.u8(from + 1));
  if (protocol == kFragmentHeader) return 8;
  return protocol == kAuthentication ? (units + 2) * 4 : (units + 1) * 8;
}

}  // namespace

bool skip_extensions(const Bytes& bytes, Walk6& walk, Headers& out) noexcept {
  while (is_extension(out.protocol)) {
    if (out.protocol == kHopByHop && walk.from != walk.base + kHeader) {
      out.flags |= kBadExtension;
      return false;
    }
    // A jumbogram's end is known after its hop-by-hop header only.
    const bool is_jumbo = out.total_length == kHeader && out.protocol == kHopByHop;
    const uint64_t end = is_jumbo ? UINT64_MAX : walk.end;
    if (!reach(bytes, walk.from, 8, end, out)) return false;  // none is shorter
    const uint64_t length = length_of(bytes, walk.from, out.protocol);
    if (!reach(bytes, walk.from, length, end, out)) return false;
    if (out.protocol == kHopByHop && !hop_by_hop(bytes, length, walk, out)) return false;
    const bool goes_on = out.protocol != kFragmentHeader || fragment(bytes, walk, out);
    out.protocol = bytes.u8(walk.from);
    walk.from += length;
    if (!goes_on) {
      set_payload(bytes, walk.from, walk.end, out);
      return false;
    }
  }
  return true;
}

}  // namespace ringtap::decode
