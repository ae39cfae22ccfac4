// Datagrams compressed together, and taken apart again.
#include "io/compression/train.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace ringtap;
using Bytes = std::vector<std::byte>;
using Spans = std::vector<std::span<const std::byte>>;

namespace {

constexpr size_t kMost = 1464;

/// Of so many different bytes: 256 cannot be compressed.
std::vector<Bytes> datagrams_of(size_t count, uint32_t kinds) {
  std::mt19937 random(3);
  std::vector<Bytes> made(count);
  for (Bytes& one : made) {
    one.resize(random() % 8 == 0 ? 40 : 1472);
    for (std::byte& b : one) b = static_cast<std::byte>(random() % kinds);
  }
  return made;
}

Bytes frame_of(size_t zeros) {
  auto compressor = make_compressor({.compression = Compression::kZstd});
  REQUIRE(compressor);
  Packed packed;
  REQUIRE((*compressor)->run(Bytes(zeros), After::kEnd, packed));
  return {packed.bytes().begin(), packed.bytes().end()};
}

}  // namespace

TEST_CASE("datagrams come out of a train as they went in, and a train is no longer than one of them") {
  auto writer = TrainWriter::make(kMost);
  auto reader = TrainReader::make();
  REQUIRE(writer);
  REQUIRE(reader);
  for (const uint32_t kinds : {1u, 4u, 40u}) {
    const auto datagrams = datagrams_of(400, kinds);
    const Spans spans(datagrams.begin(), datagrams.end());
    size_t trains = 0;
    for (size_t at = 0; at < spans.size();) {
      const size_t count = (*writer)->write(std::span(spans).subspan(at));
      REQUIRE((count > 0 || kinds == 40));
      if (count == 0) {
        at++;
        continue;
      }
      trains++;
      REQUIRE((*writer)->bytes().size() <= kMost);
      REQUIRE((*reader)->begin((*writer)->bytes()));
      for (size_t i = 0; i < count; i++) {
        const auto out = (*reader)->next();
        REQUIRE(out);
        REQUIRE(std::equal(out->begin(), out->end(), spans[at + i].begin(), spans[at + i].end()));
      }
      REQUIRE_FALSE((*reader)->next());
      at += count;
    }
    CHECK(trains < (kinds == 1 ? 20u : kinds == 4 ? 200u : 400u));
  }
}

TEST_CASE("what does not get shorter is left as it is, and is not tried each time") {
  auto writer = TrainWriter::make(kMost);
  REQUIRE(writer);
  const auto datagrams = datagrams_of(200, 256);
  const Spans spans(datagrams.begin(), datagrams.end());
  for (size_t at = 0; at < spans.size(); at++) CHECK((*writer)->write(std::span(spans).subspan(at)) == 0);
}

TEST_CASE(
    "a train that would be more than 64 KiB, or is cut, or is something else, is refused, and the next one is read") {
  auto reader = TrainReader::make();
  REQUIRE(reader);
  auto writer = TrainWriter::make(kMost);
  REQUIRE(writer);
  const auto datagrams = datagrams_of(4, 4);
  const Spans spans(datagrams.begin(), datagrams.end());
  REQUIRE((*writer)->write(spans) > 0);
  const Bytes sound((*writer)->bytes().begin(), (*writer)->bytes().end());
  const auto is_sound = [&] { return (*reader)->begin(sound) && (*reader)->next(); };
  CHECK(is_sound());
  // A bomb: 64 MiB in a few KiB.
  const Bytes bomb = frame_of(64u << 20);
  CHECK(bomb.size() < 16'384);
  CHECK_FALSE((*reader)->begin(bomb));
  CHECK(is_sound());
  CHECK_FALSE((*reader)->begin(std::span(sound).first(sound.size() - 1)));
  CHECK(is_sound());
  CHECK_FALSE((*reader)->begin({}));
  CHECK_FALSE((*reader)->begin(Bytes(100, std::byte{7})));
  CHECK_FALSE((*reader)->next());
  Bytes damaged = sound;
  for (size_t i = 0; i < damaged.size(); i += 7) damaged[i] ^= std::byte{0x55};
  CHECK_FALSE((*reader)->begin(damaged));
  CHECK(is_sound());
  Bytes more = sound;
  more.push_back(std::byte{0});
  CHECK_FALSE((*reader)->begin(more));
  CHECK(is_sound());
}
