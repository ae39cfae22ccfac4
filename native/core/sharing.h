// How packets are dealt out to several readers: what is hashed, and the hash. Programs in the kernel and code of our
// own compute the same one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/stats.h"

namespace ringtap {

class Source;

/// What decides which share a packet belongs to.
enum class ShareHash : uint8_t {
  kBalanced,        // nothing: each share gets as much as the others
  kUnidirectional,  // addresses and ports, in their order
  kBidirectional,   // addresses and ports, either way round
  kAddresses,       // addresses, either way round
  kSource,          // the source address
  kDestination,     // the destination address
};

/// What several sources of one target are opened for.
struct Sharing {
  uint32_t shares = 1;
  ShareHash hash = ShareHash::kBidirectional;
};

/// Sources that share a target's packets. Each is started; none receives before the last one has been.
struct Shares {
  std::vector<std::unique_ptr<Source>> sources;
  std::string method;                          // how packets are dealt out: a word of lib/parallel's
  ShareHash hash = ShareHash::kBidirectional;  // what is hashed, where that is less than was asked for
  std::function<uint64_t()> orphans =
      nullptr;                              // fragments so far whose first one was not seen; null: none are looked for
  std::function<Stats()> before = nullptr;  // what became of packets before they were dealt out; null: sources tell all
};

namespace share_hash {

/// UDP ports of tunnels whose two directions have a source port each: their flows are told apart by addresses alone.
inline constexpr uint16_t kTunnelPorts[] = {4789, 8472, 6081, 2152};

/// Fragments whose first one is remembered at once.
inline constexpr uint32_t kFragments = 65536;
inline constexpr uint32_t kMostTags = 3;
inline constexpr uint32_t kMostExtensions = 6;

inline constexpr uint32_t kSpread = 0x9e3779b1;  // 2^32 divided by the golden ratio
// Murmur3's.
inline constexpr uint32_t kMixFirst = 0x85ebca6b;
inline constexpr uint32_t kMixSecond = 0xc2b2ae35;

constexpr uint32_t end(uint32_t address, uint16_t port) noexcept { return address * kSpread + port; }

/// Of an IPv6 address, a 32-bit word at a time.
constexpr uint32_t fold(uint32_t so_far, uint32_t word) noexcept { return so_far * kSpread + word; }

constexpr uint32_t mix(uint32_t a, uint32_t b) noexcept {
  uint32_t hash = a;
  hash = (hash ^ hash >> 16) * kMixFirst + b;
  hash = (hash ^ hash >> 13) * kMixSecond;
  return hash ^ hash >> 16;
}

/// Of the two ends.
constexpr uint32_t of(ShareHash how, uint32_t source, uint32_t destination) noexcept {
  switch (how) {
    case ShareHash::kUnidirectional:
      return mix(source, destination);
    case ShareHash::kSource:
      return mix(source, 0);
    case ShareHash::kDestination:
      return mix(destination, 0);
    default:
      return mix(source ^ destination, source + destination);
  }
}

constexpr bool uses_ports(ShareHash how) noexcept {
  return how == ShareHash::kUnidirectional || how == ShareHash::kBidirectional;
}
/// Errors count as the packet that they quote.
constexpr bool uses_quotes(ShareHash how) noexcept {
  return how != ShareHash::kSource && how != ShareHash::kDestination;
}
constexpr bool has_ports(uint8_t protocol) noexcept {
  return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}
constexpr bool is_icmp4_error(uint8_t type) noexcept {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}
constexpr bool is_icmp6_error(uint8_t type) noexcept { return type >= 1 && type <= 4; }

}  // namespace share_hash

}  // namespace ringtap
