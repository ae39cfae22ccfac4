// The symmetric flow hash: both directions of a conversation have the same one.
//
// Each end is its address and port, folded to 64 bits. The smaller of the two ends and the larger are multiplied to 128
// bits, whose halves are folded, with the protocol and the IP version in between. So it depends on who talks to whom
// and over what, and neither on who began nor on VLANs. Ends without ports (ICMP, fragments: all of a datagram's alike)
// count with port 0. A meter that strangers can send to seeds it at random, so that nobody can aim at one bucket of its
// table.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/byte_order.h"
#if !defined(__SIZEOF_INT128__) && defined(_MSC_VER)
#include <intrin.h>
#endif

namespace ringtap::decode {

/// One end of a conversation as 64 bits.
using FlowEnd = uint64_t;

namespace hashing {

// Odd, with as many ones as zeros: digits of pi.
constexpr uint64_t kPi[] = {0x243f6a8885a308d3, 0x13198a2e03707345, 0xa4093822299f31d1, 0x082efa98ec4e6c89};

/// Both halves of the product, folded.
inline uint64_t fold(uint64_t a, uint64_t b) noexcept {
#ifdef __SIZEOF_INT128__
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
#else
  uint64_t high = 0;
  const uint64_t low = _umul128(a, b, &high);
  return low ^ high;
#endif
}

}  // namespace hashing

inline FlowEnd flow_end4(uint32_t address, uint16_t port) noexcept { return (uint64_t{address} << 16) | port; }

/// @param address 16 bytes
inline FlowEnd flow_end6(const std::byte* address, uint16_t port, uint64_t seed = 0) noexcept {
  const auto high = load_big<uint64_t>(address);
  const auto low = load_big<uint64_t>(address + 8);
  return hashing::fold(high ^ seed ^ hashing::kPi[2], low ^ hashing::kPi[3]) + port;
}

/// 64 bits, all of them usable.
inline uint64_t flow_hash(FlowEnd a, FlowEnd b, uint8_t protocol, uint8_t ip_version, uint64_t seed = 0) noexcept {
  const uint64_t pair = hashing::fold(std::min(a, b) ^ seed ^ hashing::kPi[0], std::max(a, b) ^ hashing::kPi[1]);
  return hashing::fold(pair ^ hashing::kPi[2], seed ^ hashing::kPi[3] ^ ((uint64_t{protocol} << 8) | ip_version));
}

}  // namespace ringtap::decode
