// The records of an ERF trace, shared by reader and writer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/byte_order.h"
#include "format/trace_time.h"

namespace ringtap::erf {

// Record: time u64 (32.32, little-endian), type u8, flags u8, record length u16, loss or colour u16,
// length on the wire u16 (all big-endian), extension headers of 8 bytes each, a pad for some types, packet.
inline constexpr uint32_t kHeaderBytes = 16;
inline constexpr uint32_t kExtensionBytes = 8;
inline constexpr uint32_t kEthernetPad = 2;
inline constexpr uint32_t kFcsBytes = 4;  // that the length on the wire of Ethernet counts
inline constexpr std::byte kMoreExtensions{0x80};

enum Type : uint8_t {
  kHdlcPos = 1,
  kEth = 2,
  kColorHdlcPos = 10,
  kColorEth = 11,
  kIpCounter = 13,
  kTcpFlowCounter = 14,
  kDsmColorHdlcPos = 15,
  kDsmColorEth = 16,
  kColorHashPos = 19,
  kColorHashEth = 20,
  kIpv4 = 22,
  kIpv6 = 23,
  kLastKnown = 29,
  kPad = 48,
};

/// Where the extension headers of a record of `length` bytes end; more than `length` if they never do.
inline uint32_t after_extensions(const std::byte* record, uint32_t length) noexcept {
  uint32_t at = kHeaderBytes;
  std::byte more = record[8] & kMoreExtensions;
  while (more != std::byte{0}) {
    if (at + kExtensionBytes > length) return length + 1;
    more = record[at] & kMoreExtensions;
    at += kExtensionBytes;
  }
  return at;
}

inline int64_t nanoseconds(uint64_t fraction) noexcept {
  return static_cast<int64_t>((fraction * static_cast<uint64_t>(kSecond) + 0x80000000) >> 32);
}

/// The time of a record, rounded up: nanoseconds() gives its fraction back, and who cuts digits off, as libtrace does,
/// gets no microsecond too few.
inline uint64_t time_of(uint64_t unix_ns) noexcept {
  constexpr uint64_t kSecondNs = kSecond;
  return (unix_ns / kSecondNs << 32) + (((unix_ns % kSecondNs) << 32) + kSecondNs - 1) / kSecondNs;
}

}  // namespace ringtap::erf
