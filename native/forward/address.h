// Addresses of hosts and of network cards, as they stand in frames.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

namespace ringtap::forward {

using Mac = std::array<std::byte, 6>;
inline constexpr Mac kBroadcast = {std::byte{0xff}, std::byte{0xff}, std::byte{0xff},
                                   std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};

/// Of IPv4, in the first four bytes, or of IPv6.
struct Address {
  std::array<std::byte, 16> bytes{};
  bool v6 = false;

  static Address from(const std::byte* at, bool v6) noexcept {
    Address made;
    made.v6 = v6;
    std::memcpy(made.bytes.data(), at, v6 ? 16 : 4);
    return made;
  }
  size_t size() const noexcept { return v6 ? 16 : 4; }
  std::span<const std::byte> span() const noexcept { return {bytes.data(), size()}; }
  bool operator==(const Address&) const = default;

  /// Whether the first `bits` are those of `network`.
  bool is_in(const Address& network, uint8_t bits) const noexcept {
    if (v6 != network.v6) return false;
    const size_t whole = std::min<size_t>(bits / 8, size());
    if (std::memcmp(bytes.data(), network.bytes.data(), whole) != 0) return false;
    const unsigned rest = bits % 8;
    if (whole == size() || rest == 0) return true;
    const auto mask = static_cast<std::byte>(0xff << (8 - rest));
    return ((bytes[whole] ^ network.bytes[whole]) & mask) == std::byte{0};
  }
  /// Nobody's own: none, or that of a group.
  bool is_host() const noexcept {
    if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; })) return false;
    const auto first = std::to_integer<unsigned>(bytes[0]);
    return v6 ? first != 0xff : first < 224 && first != 127 && first != 0;
  }
  /// IPv6: valid on one link only.
  bool is_link_local() const noexcept {
    return v6 && bytes[0] == std::byte{0xfe} && (bytes[1] & std::byte{0xc0}) == std::byte{0x80};
  }
};

inline size_t mix(size_t seed, uint64_t value) noexcept {
  return seed ^ (std::hash<uint64_t>{}(value * 0x9e3779b97f4a7c15u) + (seed << 6) + (seed >> 2));
}

inline size_t hash_of(const Address& address, size_t seed = 0) noexcept {
  uint64_t words[2];
  std::memcpy(words, address.bytes.data(), sizeof words);
  return mix(mix(seed + (address.v6 ? 1 : 0), words[0] ^ (words[0] >> 29)), words[1] ^ (words[1] >> 31));
}

}  // namespace ringtap::forward
