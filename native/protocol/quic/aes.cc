#include "protocol/quic/aes.h"

#include <bit>

namespace ringtap::protocol::quic {

namespace {

constexpr uint8_t doubled(uint8_t value) noexcept {
  return static_cast<uint8_t>(value << 1 ^ ((value & 0x80) != 0 ? 0x1b : 0));
}

/// The substitution of FIPS 197: an inverse in the field, and an affine map of it.
constexpr std::array<uint8_t, 256> substitution() noexcept {
  std::array<uint8_t, 256> box{};
  uint8_t power = 1;    // of 3
  uint8_t inverse = 1;  // of that
  do {
    power = static_cast<uint8_t>(power ^ doubled(power));
    inverse = static_cast<uint8_t>(inverse ^ inverse << 1);
    inverse = static_cast<uint8_t>(inverse ^ inverse << 2);
    inverse = static_cast<uint8_t>(inverse ^ inverse << 4);
    if ((inverse & 0x80) != 0) inverse ^= 0x09;
    uint8_t mapped = 0x63;
    for (int turn = 0; turn < 5; turn++) mapped ^= std::rotl(inverse, turn);
    box[power] = mapped;
  } while (power != 1);
  box[0] = 0x63;
  return box;
}

constexpr auto kBox = substitution();

/// Substitution and the mixing of columns in one: of a byte in the first row.
constexpr std::array<uint32_t, 256> mixing() noexcept {
  std::array<uint32_t, 256> table{};
  for (size_t i = 0; i < 256; i++) {
    const uint8_t once = kBox[i];
    const uint8_t twice = doubled(once);
    const uint32_t thrice = twice ^ once;
    table[i] = uint32_t{twice} << 24 | uint32_t{once} << 16 | uint32_t{once} << 8 | thrice;
  }
  return table;
}

constexpr auto kMixed = mixing();

constexpr uint32_t row(uint32_t word, size_t which) noexcept { return word >> (24 - 8 * which) & 255; }

constexpr uint32_t substituted(uint32_t a, uint32_t b, uint32_t c, uint32_t d) noexcept {
  return uint32_t{kBox[row(a, 0)]} << 24 | uint32_t{kBox[row(b, 1)]} << 16 | uint32_t{kBox[row(c, 2)]} << 8 |
         kBox[row(d, 3)];
}

}  // namespace

Aes128::Aes128(const Block& key) noexcept {
  for (size_t i = 0; i < 4; i++) keys_[i] = load_big<uint32_t>(key.data() + 4 * i);
  uint8_t round = 1;
  for (size_t i = 4; i < keys_.size(); i++) {
    uint32_t word = keys_[i - 1];
    if (i % 4 == 0) {
      word = std::rotl(word, 8);
      word = substituted(word, word, word, word) ^ uint32_t { round } << 24;
      round = doubled(round);
    }
    keys_[i] = keys_[i - 4] ^ word;
  }
}

Block Aes128::of(const Block& block) const noexcept {
  std::array<uint32_t, 4> state;
  for (size_t i = 0; i < 4; i++) state[i] = load_big<uint32_t>(block.data() + 4 * i) ^ keys_[i];
  for (size_t round = 1; round < 10; round++) {
    std::array<uint32_t, 4> next;
    for (size_t i = 0; i < 4; i++) {
      next[i] = keys_[4 * round + i];
      for (size_t j = 0; j < 4; j++) next[i] ^= std::rotr(kMixed[row(state[(i + j) % 4], j)], static_cast<int>(8 * j));
    }
    state = next;
  }
  Block out;
  for (size_t i = 0; i < 4; i++) {
    const uint32_t word = substituted(state[i], state[(i + 1) % 4], state[(i + 2) % 4], state[(i + 3) % 4]);
    store_big(out.data() + 4 * i, word ^ keys_[40 + i]);
  }
  return out;
}

}  // namespace ringtap::protocol::quic
