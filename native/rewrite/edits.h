// Edits of Ethernet frames: addresses, ports, VLAN tags and the like. Checksums follow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ringtap::rewrite {

using Mac = std::array<std::byte, 6>;

/// Addresses that begin with the same bits; IPv4 ones in the first 4 bytes.
struct Network {
  bool is_v6 = false;
  uint8_t bits = 0;
  std::array<std::byte, 16> address{};

  uint8_t width() const noexcept { return is_v6 ? 16 : 4; }
};

/// Addresses of one network become those of another one, the rest of their bits kept. Both of one family.
struct Mapping {
  Network from;
  Network to;
};

enum class Vlan : uint8_t { kKeep, kPop, kPush, kSet };

struct Edits {
  std::optional<Mac> src_mac{};
  std::optional<Mac> dst_mac{};
  Vlan vlan = Vlan::kKeep;
  uint16_t vlan_tci = 0;             // of the tag that is pushed, or that the outermost one becomes
  std::vector<Mapping> addresses{};  // the first that fits, for sources and destinations
  std::optional<uint16_t> src_port{};
  std::optional<uint16_t> dst_port{};
  std::optional<uint8_t> ttl{};  // or hop limit
  bool decrement_ttl = false;
  std::optional<uint8_t> dscp{};  // the six bits above ECN

  bool empty() const noexcept;
};

/// Bytes in front of a frame that an edit may make use of.
inline constexpr size_t kHeadroom = 4;

/// Edits the frame that lies kHeadroom bytes behind the beginning of `room`, and ends with it. @param wirelen its
/// length where it was captured, if it was cut @returns where it lies then, still ending with `room`; nothing where its
/// time to live is over, and it must not be sent: it is as it was.
///
/// What is not there to be edited (no IP, no ports, no tag) is left alone. A checksum that the sender left to its NIC
/// is summed up where all that it covers is there.
std::span<std::byte> apply(const Edits& edits, std::span<std::byte> room, uint32_t wirelen) noexcept;

}  // namespace ringtap::rewrite
