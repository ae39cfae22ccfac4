// The Internet checksum, kept right through edits.
#include "core/checksum.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

using namespace ringtap;

namespace {

std::vector<std::byte> random_bytes(std::mt19937& random, size_t count) {
  std::vector<std::byte> bytes(count);
  // Many words of 0x0000 and 0xffff, where one's complement has two zeros.
  for (std::byte& byte : bytes) {
    const uint32_t value = random();
    byte = static_cast<std::byte>((value & 0x300) == 0 ? 0 : (value & 0x300) == 0x100 ? 0xff : value & 0xff);
  }
  return bytes;
}

}  // namespace

TEST_CASE("a checksum is that of RFC 1071's example, and of an IPv4 header") {
  const std::array example = {std::byte{0x00}, std::byte{0x01}, std::byte{0xf2}, std::byte{0x03},
                              std::byte{0xf4}, std::byte{0xf5}, std::byte{0xf6}, std::byte{0xf7}};
  CHECK(checksum::fold(checksum::sum(example)) == 0xddf2);
  std::array<std::byte, 20> header{};
  constexpr std::array<uint16_t, 10> kWords = {0x4500, 0x0073, 0, 0x4000, 0x4011, 0, 0xc0a8, 0x0001, 0xc0a8, 0x00c7};
  for (size_t i = 0; i < kWords.size(); i++) store_big(header.data() + 2 * i, kWords[i]);
  CHECK(checksum::of(checksum::sum(header)) == 0xb861);
}

TEST_CASE("an odd last byte counts as if a zero followed, and the sum of parts is that of the whole") {
  std::mt19937 random(1);
  for (size_t count = 0; count < 64; count++) {
    const auto bytes = random_bytes(random, count);
    auto padded = bytes;
    padded.resize(count + 1 + (count + 1) % 2);
    const std::span<const std::byte> whole(bytes);
    CHECK(checksum::fold(checksum::sum(whole)) == checksum::fold(checksum::sum(padded)));
    const size_t half = count / 4 * 2;
    CHECK(checksum::fold(checksum::sum(whole)) ==
          checksum::fold(checksum::sum(whole.first(half)) + checksum::sum(whole.subspan(half))));
  }
}

TEST_CASE("a checksum after an edit is the one that summing anew gives") {
  std::mt19937 random(2);
  for (int round = 0; round < 200'000; round++) {
    auto bytes = random_bytes(random, 24);
    store_big(bytes.data(), uint16_t{0});
    const uint16_t before = checksum::of(checksum::sum(bytes));
    checksum::Delta delta;
    const auto address = random_bytes(random, 16);
    const auto port = static_cast<uint16_t>(random());
    const uint32_t word = random();
    delta.replace16(load_big<uint16_t>(bytes.data() + 2), port);
    store_big(bytes.data() + 2, port);
    delta.replace32(load_big<uint32_t>(bytes.data() + 4), word);
    store_big(bytes.data() + 4, word);
    delta.replace(std::span(bytes).subspan(8), address);
    std::copy(address.begin(), address.end(), bytes.begin() + 8);
    const uint16_t anew = checksum::of(checksum::sum(bytes));
    // All words 0 is the one sum whose checksum no edit can reach: no packet has it, for its version is not 0.
    if (checksum::sum(bytes) == 0) continue;
    REQUIRE(delta.applied(before) == anew);
  }
}

TEST_CASE("where the sum comes out as 0xffff the checksum is 0x0000, which RFC 1141 had wrong") {
  checksum::Delta delta;
  delta.replace16(0x5555, 0x3285);
  CHECK(delta.applied(0xdd2f) == 0x0000);
  CHECK(delta.applied_udp(0xdd2f) == 0xffff);
  CHECK(delta.applied_udp(0) == 0);
}

TEST_CASE("a partial sum follows its addresses with the other sign, and is told from a whole checksum") {
  std::mt19937 random(3);
  for (int round = 0; round < 50'000; round++) {
    for (const size_t count : {size_t{8}, size_t{32}}) {
      const auto before = random_bytes(random, count);
      const auto after = random_bytes(random, count);
      const auto length = static_cast<uint32_t>(random() % 65536);
      const uint64_t pseudo = checksum::pseudo_header(before, 6, length);
      const uint16_t partial = checksum::fold(pseudo);
      REQUIRE(checksum::is_partial(partial, pseudo));
      checksum::Delta delta;
      delta.replace(before, after);
      REQUIRE(delta.applied_partial(partial) == checksum::fold(checksum::pseudo_header(after, 6, length)));
    }
  }
  checksum::Delta none;
  CHECK(none.empty());
  none.replace16(1, 1);
  CHECK(none.applied(0x1234) == 0x1234);
  CHECK(none.applied_partial(0x1234) == 0x1234);
}
