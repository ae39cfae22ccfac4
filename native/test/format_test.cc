#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>

#include "core/byte_order.h"
#include "core/link_type.h"
#include "format/encoder.h"
#include "format/erf_reader.h"
#include "format/reader.h"
#include "format/tick_clock.h"

using namespace ringtap;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

__extension__ using Wide = __int128;

/// ns from the epoch, floored, by the book.
Wide reference(uint64_t ticks, uint8_t resolution, int64_t offset, int64_t epoch) {
  Wide per_second = 1;
  for (int i = 0; i < (resolution & 0x7f); i++) per_second *= (resolution & 0x80) != 0 ? 2 : 10;
  const Wide seconds = ticks / per_second;
  const Wide fraction = ticks % per_second;
  return (seconds + offset - epoch) * 1'000'000'000 + fraction * 1'000'000'000 / per_second;
}

void check_stamp(uint64_t ticks, uint8_t resolution, int64_t offset, int64_t epoch) {
  auto clock = TickClock::make(resolution, offset);
  REQUIRE(clock);
  clock->set_epoch(epoch);
  const Wide expected = reference(ticks, resolution, offset, epoch);
  DescBlock block(1);
  clock->stamp(ticks, block, 0);
  const bool inexact = (block.flags[0] & kFlagTimeInexact) != 0;
  CAPTURE(ticks);
  CAPTURE(int{resolution});
  CAPTURE(offset);
  CAPTURE(epoch);
  CHECK(inexact == (expected > (Wide{1} << 53) || expected < -(Wide{1} << 53)));
  CHECK(static_cast<Wide>(block.time[0]) + static_cast<Wide>(inexact ? block.rest[0] : 0) == expected);
  CHECK(block.time[0] == static_cast<double>(expected));
}

}  // namespace

TEST_CASE("ticks of every resolution become exactly the nanoseconds that 128-bit arithmetic gives") {
  std::mt19937_64 random(1);
  for (int r = 0; r < 256; r++) {
    const auto resolution = static_cast<uint8_t>(r);
    const int exponent = r & 0x7f;
    if (exponent > ((r & 0x80) != 0 ? 63 : 19)) {
      CHECK_FALSE(TickClock::make(resolution, 0).has_value());
      continue;
    }
    uint64_t per_second = 1;
    for (int i = 0; i < exponent; i++) per_second *= (r & 0x80) != 0 ? 2 : 10;
    for (const int64_t offset : {int64_t{0}, int64_t{3600}, int64_t{-1'600'000'000}, int64_t{1} << 61,
                                 -(int64_t{1} << 61), INT64_MAX, INT64_MIN}) {
      for (const int64_t epoch : {int64_t{0}, int64_t{1'700'000'000}}) {
        for (const uint64_t ticks :
             {uint64_t{0}, uint64_t{1}, UINT64_MAX, UINT64_MAX - 1, uint64_t{1} << 63, (uint64_t{1} << 63) - 1}) {
          check_stamp(ticks, resolution, offset, epoch);
        }
        for (int i = 0; i < 20; i++) check_stamp(random(), resolution, offset, epoch);
        const Wide near = (static_cast<Wide>(epoch) - offset) * per_second;
        if (near >= 0 && near < static_cast<Wide>(UINT64_MAX)) {
          for (int i = 0; i < 50; i++) {
            const auto jitter =
                static_cast<int64_t>(random() % (uint64_t{1} << (10 + i % 50))) - (int64_t{1} << (9 + i % 50));
            const Wide ticks = near + jitter;
            if (ticks >= 0 && ticks <= static_cast<Wide>(UINT64_MAX))
              check_stamp(static_cast<uint64_t>(ticks), resolution, offset, epoch);
          }
        }
      }
    }
  }
}

TEST_CASE("the second of a tick is floored, and 0 when no calendar has it") {
  auto clock = TickClock::make(9, 0);
  CHECK(clock->second(1'700'000'000'999'999'999) == 1'700'000'000);
  clock = TickClock::make(9, -5);
  CHECK(clock->second(1'999'999'999) == -4);
  clock = TickClock::make(0, 0);
  CHECK(clock->second(UINT64_MAX) == 0);
  clock = TickClock::make(6, INT64_MAX);
  CHECK(clock->second(1) == 0);
}

TEST_CASE("text, noise and zeros are no ERF") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; round++) {
    std::string noise(4096, 0);
    for (char& c : noise) c = static_cast<char>(random());
    CHECK(looks_like_erf(bytes_of(noise), true) == Likeness::kNo);
  }
  std::string text;
  while (text.size() < 100000) text += "The quick brown fox\njumps over 13 lazy dogs!\n";
  for (size_t at = 0; at < 200; at++) {
    CHECK_FALSE(detect_format(bytes_of(text.substr(at)), true));
  }
  CHECK_FALSE(detect_format(bytes_of(std::string(100000, 0)), true));
}

TEST_CASE("too few bytes ask for more, and none at all are an error") {
  CHECK(*detect_format({}, false) == nullptr);
  const auto empty = detect_format({}, true);
  REQUIRE_FALSE(empty);
  CHECK(empty.error().code == Code::kFileFormat);
  const std::string head = "\xd4\xc3\xb2\xa1\x02";
  CHECK(*detect_format(bytes_of(head), false) == nullptr);
  const auto cut = detect_format(bytes_of(head), true);
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code == Code::kFileTruncated);
  CHECK(cut.error().position == 0);
}

TEST_CASE("a packet that is shorter than an ERF record's header is no record, and nothing is written past the buffer") {
  for (uint32_t caplen = 0; caplen < 16; caplen++) {
    DescBlock block(1);
    block.set_basic(0, 0, caplen, caplen, 0, 0);
    const std::vector<std::byte> segment(caplen + 1, std::byte{1});
    const auto batch = BatchView::of(block, 1, segment.data(), segment.size(), 1'700'000'000'000'000'000, kLinkErf);
    const auto encoder = make_erf_encoder({});
    std::vector<std::byte> memory(64, std::byte{0x55});
    EncodeBuffer buffer{.data = memory.data(), .capacity = caplen};
    uint32_t next = 0;
    const auto error = encoder->encode(batch, next, buffer);
    REQUIRE(error);
    CHECK(error->code == Code::kUnsupported);
    CHECK(next == 0);
    CHECK(buffer.used == 0);
    for (size_t i = caplen; i < memory.size(); i++) REQUIRE(memory[i] == std::byte{0x55});
  }
}
