#include "protocol/stream.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>

using namespace ringtap::protocol;

namespace {

/// Text with '_' for each byte of a gap.
struct Heard {
  std::string text;
  void bytes(Span given) { text += text_of(given); }
  void gap(uint64_t count) { text.append(count, '_'); }
};

struct Segment {
  uint32_t at;
  std::string bytes;
  uint32_t length;
};

/// What arrives where, the first one that came counts: as simple as can be.
std::string reference(const std::vector<Segment>& segments, size_t size) {
  std::map<uint32_t, char> first;
  for (const Segment& each : segments) {
    for (uint32_t i = 0; i < each.length; i++)
      first.try_emplace(each.at + i, i < each.bytes.size() ? each.bytes[i] : '_');
  }
  std::string text(size, '_');
  for (const auto& [at, c] : first) text[at] = c;
  while (!text.empty() && !first.contains(static_cast<uint32_t>(text.size() - 1))) text.pop_back();
  return text;
}

}  // namespace

TEST_CASE("bytes come out as they were sent, whatever order, overlap, repetition and loss there was") {
  std::mt19937 random(7);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  for (int round = 0; round < 20000; round++) {
    const uint32_t size = 1 + below(200);
    const uint32_t begin = below(4) == 0 ? UINT32_MAX - below(150) : static_cast<uint32_t>(random());
    std::vector<Segment> segments;
    for (uint32_t at = 0; at < size;) {
      const uint32_t length = std::min(size - at, 1 + below(30));
      const uint32_t captured = below(12) == 0 ? below(length + 1) : length;
      const auto add = [&](uint32_t from, uint32_t count, uint32_t kept) {
        std::string bytes;
        for (uint32_t i = 0; i < kept; i++) bytes += static_cast<char>('a' + below(26));  // overlaps differ
        segments.push_back({from, bytes, count});
      };
      if (below(15) != 0) add(at, length, captured);
      if (below(6) == 0) add(at, length, length);
      if (below(6) == 0 && at > 10) add(at - below(10), length, length);
      at += length;
    }
    for (size_t i = 0; i + 1 < segments.size(); i++) {
      if (below(3) == 0) std::swap(segments[i], segments[std::min<size_t>(segments.size() - 1, i + below(6))]);
    }
    Budget budget(1 << 20);
    Stream stream;
    Heard heard;
    stream.begin(begin - 1);
    for (const Segment& each : segments) {
      stream.add(begin + each.at, std::as_bytes(std::span(each.bytes)), each.length, budget, heard);
    }
    stream.flush(budget, heard);
    REQUIRE(heard.text == reference(segments, size));
    REQUIRE(budget.used() == 0);
    REQUIRE(stream.held() == 0);
  }
}

TEST_CASE("in order nothing is copied") {
  struct Same {
    const std::byte* last = nullptr;
    void bytes(Span given) { last = given.data(); }
    void gap(uint64_t) {}
  } out;
  Budget budget(0);
  Stream stream;
  const std::string text = "0123456789";
  const Span bytes = span_of(text);
  stream.add(1, bytes.first(5), 5, budget, out);
  stream.add(6, bytes.subspan(5), 5, budget, out);
  CHECK(out.last == bytes.data() + 5);
}

TEST_CASE("what waits is bounded, in a flow and in all, and then is a gap") {
  Heard heard;
  Budget budget(1 << 20);
  Stream stream;
  stream.begin(0);
  const std::string large(60000, 'x');
  for (uint32_t i = 0; i < 10; i++) {
    stream.add(100 + i * 60000, span_of(large), 60000, budget, heard);
    CHECK(stream.held() <= Stream::kMostHeld);
  }
  CHECK(heard.text.substr(0, 100) == std::string(99, '_') + "x");
  Stream other;
  other.begin(0);
  for (uint32_t i = 0; i < 200; i++) other.add(2 + i * 2, span_of("y"), 1, budget, heard);
  CHECK(other.held() <= Stream::kMostPieces);

  Budget none(10);
  Stream third;
  Heard nothing;
  third.begin(0);
  third.add(100, span_of(large), 60000, none, nothing);
  CHECK(third.held() == 0);
  CHECK(none.used() == 0);
}

TEST_CASE("a gap is known when the other end has acknowledged what is behind it") {
  Heard heard;
  Budget budget(1000);
  Stream stream;
  stream.begin(0);
  stream.add(4, span_of("def"), 3, budget, heard);
  stream.acknowledged(1, budget, heard);
  CHECK(heard.text.empty());
  stream.acknowledged(7, budget, heard);
  CHECK(heard.text == "___def");
}

TEST_CASE("a segment far away changes nothing, two in a row are where the connection is") {
  Heard heard;
  Budget budget(1000);
  Stream stream;
  stream.begin(0);
  stream.add(1'000'000'000, span_of("evil"), 4, budget, heard);
  stream.add(1, span_of("a"), 1, budget, heard);
  CHECK(heard.text == "a");
  struct Counted {
    std::string text;
    uint64_t missing = 0;
    void bytes(Span given) { text += text_of(given); }
    void gap(uint64_t count) { missing += count; }
  } counted;
  stream.add(100'000'000, span_of("bc"), 2, budget, counted);
  stream.add(100'000'002, span_of("de"), 2, budget, counted);
  CHECK(counted.text == "de");
  CHECK(counted.missing == 100'000'000);
}

TEST_CASE("one side alone, and from the middle on, is enough") {
  Heard heard;
  Budget budget(1000);
  Stream stream;
  stream.add(5000, span_of("abc"), 3, budget, heard);
  stream.add(5003, span_of("d"), 1, budget, heard);
  stream.end(5004);
  CHECK(heard.text == "abcd");
  CHECK(stream.is_at_end());
}
