// The Internet checksum (RFC 1071), and how it changes with what it covers (RFC 1624, equation 3).
//
// Values are as they stand in a packet, read with load_big(). Sums are of 16-bit words and wide enough not to overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/byte_order.h"

namespace ringtap::checksum {

/// Carries back in until 16 bits are left.
constexpr uint16_t fold(uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

/// The words of `bytes`, added up. An odd last byte is padded: only the last part of what is summed may have one.
inline uint64_t sum(std::span<const std::byte> bytes) noexcept {
  uint64_t sum = 0;
  size_t at = 0;
  // 2^32 times 2^32 is out of the reach of any packet.
  for (; at + 4 <= bytes.size(); at += 4) sum += load_big<uint32_t>(bytes.data() + at);
  if (at + 2 <= bytes.size()) {
    sum += load_big<uint16_t>(bytes.data() + at);
    at += 2;
  }
  if (at < bytes.size()) sum += uint64_t{std::to_integer<uint8_t>(bytes[at])} << 8;
  return sum;
}

/// What TCP, UDP and ICMPv6 cover besides themselves. `addresses` are both, 8 or 32 bytes, one after the other.
inline uint64_t pseudo_header(std::span<const std::byte> addresses, uint8_t protocol, uint32_t length) noexcept {
  return sum(addresses) + protocol + length;
}

/// The checksum of what has this sum, its own field counted as 0.
constexpr uint16_t of(uint64_t sum) noexcept { return static_cast<uint16_t>(~fold(sum)); }

/// What an edit adds to a sum: ~m + m' of each word, in any order.
class Delta {
 public:
  constexpr void replace16(uint16_t before, uint16_t after) noexcept {
    sum_ += static_cast<uint16_t>(~before);
    sum_ += after;
  }
  constexpr void replace32(uint32_t before, uint32_t after) noexcept {
    sum_ += static_cast<uint32_t>(~before);
    sum_ += after;
  }
  /// Both of the same even length, at an even place of what is summed. Call it before the bytes are overwritten.
  void replace(std::span<const std::byte> before, std::span<const std::byte> after) noexcept {
    for (size_t at = 0; at + 2 <= before.size() && at + 2 <= after.size(); at += 2)
      replace16(load_big<uint16_t>(before.data() + at), load_big<uint16_t>(after.data() + at));
  }
  /// All that another edit adds, too.
  constexpr void add(const Delta& other) noexcept { sum_ += other.sum_; }
  constexpr bool empty() const noexcept { return sum_ == 0; }

  /// The checksum after the edit: HC' = ~(~HC + ~m + m').
  constexpr uint16_t applied(uint16_t checksum) const noexcept {
    return static_cast<uint16_t>(~fold(sum_ + static_cast<uint16_t>(~checksum)));
  }
  /// The same of UDP: 0 is none and stays so, and one that comes out as 0 is written as 0xffff.
  constexpr uint16_t applied_udp(uint16_t checksum) const noexcept {
    if (checksum == 0) return 0;
    const uint16_t after = applied(checksum);
    return after == 0 ? uint16_t{0xffff} : after;
  }
  /// The same of a partial sum: that of the pseudo-header, not complemented, which a NIC was to complete.
  constexpr uint16_t applied_partial(uint16_t partial) const noexcept { return fold(sum_ + partial); }

 private:
  uint64_t sum_ = 0;
};

/// Whether a TCP or UDP checksum is such a partial sum: every frame that was made on the same host may have one. One
/// in 65,536 whole checksums looks so by chance; to sum that packet up anew makes it right all the same.
constexpr bool is_partial(uint16_t checksum, uint64_t pseudo_header) noexcept {
  return checksum == fold(pseudo_header);
}

}  // namespace ringtap::checksum
