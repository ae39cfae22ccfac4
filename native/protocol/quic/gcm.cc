#include "protocol/quic/gcm.h"

#include <algorithm>
#include <cstring>

namespace ringtap::protocol::quic {

namespace {

constexpr uint64_t kPolynomial = uint64_t{0xe1} << 56;

/// What four bits that fall off the end add at the beginning.
constexpr std::array<uint64_t, 16> reductions() noexcept {
  std::array<uint64_t, 16> table{};
  for (uint64_t bits = 0; bits < 16; bits++) {
    uint64_t high = 0;
    for (size_t i = 0; i < 4; i++) high = high >> 1 ^ ((bits >> i & 1) != 0 ? kPolynomial : 0);
    table[bits] = high;
  }
  return table;
}

constexpr auto kReductions = reductions();

Block block_of(const Nonce& nonce, uint32_t counter) noexcept {
  Block block;
  std::copy(nonce.begin(), nonce.end(), block.begin());
  store_big(block.data() + nonce.size(), counter);
  return block;
}

}  // namespace

Gcm::Gcm(const Block& key) noexcept : cipher_(key) {
  const Block hash = cipher_.of({});
  Element value{load_big<uint64_t>(hash.data()), load_big<uint64_t>(hash.data() + 8)};
  for (size_t i = 8; i > 0; i /= 2) {
    multiples_[i] = value;
    value = {value.high >> 1 ^ ((value.low & 1) != 0 ? kPolynomial : 0), value.low >> 1 | value.high << 63};
  }
  for (size_t i = 2; i < 16; i *= 2) {
    for (size_t j = 1; j < i; j++) {
      multiples_[i + j] = {multiples_[i].high ^ multiples_[j].high, multiples_[i].low ^ multiples_[j].low};
    }
  }
}

/// Times the key of the hash, four bits at a time, the last ones first.
Gcm::Element Gcm::multiplied(Element value) const noexcept {
  Element out;
  for (uint64_t half : {value.low, value.high}) {
    for (size_t i = 0; i < 16; i++) {
      const uint64_t carried = kReductions[out.low & 15];
      const Element& more = multiples_[half & 15];
      out = {out.high >> 4 ^ carried ^ more.high, (out.low >> 4 | out.high << 60) ^ more.low};
      half >>= 4;
    }
  }
  return out;
}

void Gcm::absorb(Element& sum, Span bytes) const noexcept {
  while (!bytes.empty()) {
    Block block{};
    const size_t count = std::min(bytes.size(), block.size());
    std::memcpy(block.data(), bytes.data(), count);
    bytes = bytes.subspan(count);
    sum = multiplied({sum.high ^ load_big<uint64_t>(block.data()), sum.low ^ load_big<uint64_t>(block.data() + 8)});
  }
}

bool Gcm::open(const Nonce& nonce, Span beside, std::span<std::byte> text, Span tag) const noexcept {
  Element sum;
  absorb(sum, beside);
  absorb(sum, text);
  sum = multiplied({sum.high ^ uint64_t{beside.size()} * 8, sum.low ^ uint64_t{text.size()} * 8});
  Block right = cipher_.of(block_of(nonce, 1));
  store_big(right.data(), load_big<uint64_t>(right.data()) ^ sum.high);
  store_big(right.data() + 8, load_big<uint64_t>(right.data() + 8) ^ sum.low);
  if (!std::equal(tag.begin(), tag.end(), right.begin(), right.end())) return false;
  uint32_t counter = 2;
  for (size_t at = 0; at < text.size(); at += right.size()) {
    const Block mask = cipher_.of(block_of(nonce, counter++));
    const size_t count = std::min(text.size() - at, mask.size());
    for (size_t i = 0; i < count; i++) text[at + i] ^= mask[i];
  }
  return true;
}

}  // namespace ringtap::protocol::quic
