// What makes packets those of one flow, and its keyed hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/byte_order.h"
#include "decode/bytes.h"
#include "decode/flow_hash.h"

namespace ringtap::flow {

/// How many sampling rates a meter may have: four bits of a key say which of them.
constexpr uint8_t kRates = 16;

/// Both ends of a conversation, the lower one first, so that both directions have the same key.
///
/// words: address of A in two, address of B in two (IPv4 in the first of each, the second is 0);
/// port of A << 48 | port of B << 32 | tunnel id; protocol | IP version << 8 | tunnel kind << 16 | outer VLAN << 24 |
/// sampling rate << 36 | inner VLAN << 40. The top byte of the last one is 0 here: a flow keeps its state there.
struct Key {
  std::array<uint64_t, 6> words{};

  uint8_t protocol() const noexcept { return static_cast<uint8_t>(words[5]); }
  uint8_t version() const noexcept { return static_cast<uint8_t>(words[5] >> 8); }
  uint8_t tunnel_kind() const noexcept { return static_cast<uint8_t>(words[5] >> 16); }
  uint16_t outer_vlan() const noexcept { return static_cast<uint16_t>(words[5] >> 24 & 0xfff); }
  uint8_t rate() const noexcept { return static_cast<uint8_t>(words[5] >> 36 & (kRates - 1)); }
  uint16_t inner_vlan() const noexcept { return static_cast<uint16_t>(words[5] >> 40 & 0xfff); }
  uint16_t port_a() const noexcept { return static_cast<uint16_t>(words[4] >> 48); }
  uint16_t port_b() const noexcept { return static_cast<uint16_t>(words[4] >> 32); }
  uint32_t tunnel_id() const noexcept { return static_cast<uint32_t>(words[4]); }
};

/// What a key is made of, besides addresses and ports.
struct Around {
  uint8_t protocol = 0;
  uint8_t version = 4;
  uint8_t tunnel_kind = 0;
  uint8_t rate = 0;         // below kRates
  uint16_t outer_vlan = 0;  // 12 bits
  uint16_t inner_vlan = 0;
  uint32_t tunnel_id = 0;
};

constexpr uint64_t packed(const Around& around) noexcept {
  return uint64_t{around.protocol} | uint64_t{around.version} << 8 | uint64_t{around.tunnel_kind} << 16 |
         uint64_t{around.outer_vlan} << 24 | uint64_t{around.rate} << 36 | uint64_t{around.inner_vlan} << 40;
}

/// Makes the key of what `source` sends to `destination`. True where the source is B.
RINGTAP_INLINE bool make_key4(uint32_t source, uint16_t source_port, uint32_t destination, uint16_t destination_port,
                              const Around& around, Key& key) noexcept {
  const uint64_t from = uint64_t{source} << 16 | source_port;
  const uint64_t to = uint64_t{destination} << 16 | destination_port;
  const bool is_b = from > to;
  const uint64_t a = is_b ? to : from;
  const uint64_t b = is_b ? from : to;
  key.words = {a >> 16, 0, b >> 16, 0, (a & 0xffff) << 48 | (b & 0xffff) << 32 | around.tunnel_id, packed(around)};
  return is_b;
}

/// @param addresses 32 bytes: source, then destination
RINGTAP_INLINE bool make_key6(const std::byte* addresses, uint16_t source_port, uint16_t destination_port,
                              const Around& around, Key& key) noexcept {
  const std::array<uint64_t, 3> from = {load_big<uint64_t>(addresses), load_big<uint64_t>(addresses + 8), source_port};
  const std::array<uint64_t, 3> to = {load_big<uint64_t>(addresses + 16), load_big<uint64_t>(addresses + 24),
                                      destination_port};
  const bool is_b = from > to;
  const auto& a = is_b ? to : from;
  const auto& b = is_b ? from : to;
  key.words = {a[0], a[1], b[0], b[1], a[2] << 48 | b[2] << 32 | around.tunnel_id, packed(around)};
  return is_b;
}

/// A hash that only who knows its key can aim at: NH (of UMAC, here over 64-bit words), whose collisions are the key's
/// alone, and one more product to spread it. decode/flow_hash.h is not it: its ends fold with known constants first.
class KeyedHash {
 public:
  explicit KeyedHash(const std::array<uint64_t, 8>& key) noexcept : key_(key) {}

  uint64_t operator()(const Key& key) const noexcept {
    const auto& w = key.words;
    uint64_t sum = mixed(w[4] + key_[0], w[5] + key_[1]);
    // WHY xor of folded products, not one 128-bit sum: as good here, and the same on every compiler.
    if (key.version() == 4) {
      sum ^= mixed(w[0] + key_[2], w[2] + key_[3]);
    } else {
      sum ^= mixed(w[0] + key_[2], w[1] + key_[3]);
      sum += mixed(w[2] + key_[4], w[3] + key_[5]);
    }
    return mixed(sum ^ key_[6], key_[7] | 1);
  }

 private:
  static uint64_t mixed(uint64_t a, uint64_t b) noexcept { return decode::hashing::fold(a, b); }

  std::array<uint64_t, 8> key_;
};

/// A key from the operating system.
std::array<uint64_t, 8> random_hash_key();

}  // namespace ringtap::flow
