// Both ends of the window over udpstr's datagrams, over a way that loses, doubles and reorders what passes in either
// direction.
#include "format/rpcap_window.h"

#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "core/byte_order.h"

using namespace ringtap;
using namespace ringtap::rpcap;
using Bytes = std::vector<std::byte>;

namespace {

constexpr uint32_t kMost = 64;
constexpr Token kToken{std::byte{1}, std::byte{2}, std::byte{3}};

Bytes datagram_of(uint32_t number) {
  Bytes bytes(8 + number % 50);
  store_big(bytes.data(), number);
  return bytes;
}
uint32_t number_of(std::span<const std::byte> bytes) { return load_big<uint32_t>(bytes.data()); }

struct Chances {
  double lose = 0;
  double twice = 0;
  double overtaken = 0;
};

/// What is on its way, a millisecond at a time.
class Way {
 public:
  Way(uint32_t seed, Chances chances) : random_(seed), chances_(chances) {}
  void send(std::span<const std::byte> bytes) {
    if (happens(chances_.lose)) return;
    const Bytes copy(bytes.begin(), bytes.end());
    if (happens(chances_.twice)) on_way_.push_back(copy);
    if (!on_way_.empty() && happens(chances_.overtaken)) {
      on_way_.insert(on_way_.end() - 1, copy);
    } else {
      on_way_.push_back(copy);
    }
  }
  std::deque<Bytes> arrive() { return std::exchange(on_way_, {}); }

 private:
  bool happens(double chance) { return std::uniform_real_distribution<>(0, 1)(random_) < chance; }
  std::mt19937 random_;
  Chances chances_;
  std::deque<Bytes> on_way_;
};

struct Run {
  std::vector<uint32_t> read;
  ArrivedWindow::Counters counters;
};

/// `count` datagrams, some each millisecond, and then as long as it takes.
Run run(uint32_t count, Chances chances, uint64_t bytes) {
  SentWindow sent(bytes, kMost);
  ArrivedWindow arrived(bytes, kMost, 1000);
  Way there(1, chances);
  Way back(2, chances);
  Run run;
  uint32_t next = 0;
  for (uint64_t now = 1; now < 60'000 && (next < count || !sent.is_acknowledged()); now++) {
    for (int i = 0; i < 5 && next < count; i++, next++) {
      const Bytes datagram = datagram_of(next);
      sent.keep(next, datagram);
      there.send(datagram);
    }
    if (now % 20 == 0) there.send(put_sent(sent.state(), kToken));
    for (const Bytes& came : there.arrive()) {
      if (const auto told = read_sent(came, kToken)) {
        arrived.told(*told, now);
      } else if (arrived.take(number_of(came), came, now) == ArrivedWindow::Took::kNext) {
        run.read.push_back(number_of(came));
      }
      while (const auto kept = arrived.next(now)) run.read.push_back(number_of(*kept));
    }
    const Ask ask = arrived.ask(now);
    std::array<std::byte, kMostAskBytes> into{};
    if (ask.count > 0 || now % 10 == 0) back.send(put_ask(ask, kToken, into));
    for (const Bytes& came : back.arrive()) {
      const auto asked = read_ask(came, kToken);
      REQUIRE(asked);
      CHECK_MESSAGE((sent.acknowledge(asked->next) || chances.overtaken + chances.twice > 0), asked->next);
      for (size_t i = 0; i < asked->count; i++) {
        const auto [first, many] = asked->ranges[i];
        for (uint32_t number = first; number != first + many; number++) {
          if (const auto again = sent.again(number, now); !again.empty()) there.send(again);
        }
      }
    }
  }
  CHECK(sent.is_acknowledged());
  run.counters = arrived.counters();
  return run;
}

}  // namespace

TEST_CASE("over a way that loses one of ten, doubles and reorders, every datagram is read once and in order") {
  for (const Chances chances : {Chances{}, Chances{.lose = 0.1}, Chances{.twice = 0.3}, Chances{.overtaken = 0.3},
                                Chances{.lose = 0.1, .twice = 0.1, .overtaken = 0.1}}) {
    const Run result = run(20'000, chances, 1 << 20);
    REQUIRE(result.read.size() == 20'000);
    for (uint32_t i = 0; i < result.read.size(); i++) REQUIRE(result.read[i] == i);
    CHECK(result.counters.given_up == 0);
    CHECK((result.counters.recovered > 1500) == (chances.lose > 0));
    // What is only overtaken is there before anybody asks.
    if (chances.lose == 0) CHECK(result.counters.asked < 50);
  }
}

TEST_CASE("what the daemon has no more is given up, and what follows is read") {
  const Run result = run(20'000, {.lose = 0.5}, 16 * kMost);
  CHECK(result.counters.given_up > 100);
  CHECK(result.read.size() + result.counters.given_up == 20'000);
  for (size_t i = 1; i < result.read.size(); i++) REQUIRE(result.read[i] > result.read[i - 1]);
}

TEST_CASE("a datagram goes out again no more than sixteen times, and not at once after the last time") {
  SentWindow sent(1 << 20, kMost);
  for (uint32_t i = 0; i < 10; i++) sent.keep(i, datagram_of(i));
  int times = 0;
  for (uint64_t now = 0; now < 10'000; now++) times += sent.again(3, now).empty() ? 0 : 1;
  CHECK(times == 16);
  CHECK(!sent.again(4, 100).empty());
  CHECK(sent.again(4, 101).empty());
  CHECK(sent.again(10, 0).empty());
  CHECK(sent.again(UINT32_MAX, 0).empty());
  CHECK_FALSE(sent.acknowledge(11));
  CHECK(sent.acknowledge(5));
  CHECK_FALSE(sent.acknowledge(4));
  CHECK(sent.again(2, 20'000).empty());
}

TEST_CASE("numbers wrap around, and one that is far away is not believed alone") {
  ArrivedWindow arrived(1 << 20, kMost, 1000);
  const auto take = [&](uint32_t number) {
    const auto took = arrived.take(number, datagram_of(number), 0);
    while (arrived.next(0)) {
    }
    return took;
  };
  CHECK(take(0) == ArrivedWindow::Took::kNext);
  CHECK(take(0x8000'0000) == ArrivedWindow::Took::kNot);
  CHECK(take(1) == ArrivedWindow::Took::kNext);
  // Two that follow each other are the sender's: what was between is given up.
  CHECK(take(0x7fff'fff0) == ArrivedWindow::Took::kNot);
  CHECK(take(0x7fff'fff1) == ArrivedWindow::Took::kNot);
  CHECK(arrived.base() == 0x7fff'fff1);
  CHECK(arrived.counters().given_up == 0x7fff'fff1 - 2);
  CHECK(take(0x7fff'fff1) == ArrivedWindow::Took::kNext);
  for (const uint32_t number : {0xefff'ffffu, 0xf000'0000u, 0xf000'0000u}) take(number);
  CHECK(arrived.base() == 0xf000'0001);
  CHECK(take(0xffff'fffe) == ArrivedWindow::Took::kNot);
  CHECK(take(0xffff'ffff) == ArrivedWindow::Took::kNot);
  CHECK(take(0xffff'ffff) == ArrivedWindow::Took::kNext);
  CHECK(take(0) == ArrivedWindow::Took::kNext);
  CHECK(take(0) == ArrivedWindow::Took::kNot);
}

TEST_CASE("what is missing when time has passed is asked for before it is given up") {
  ArrivedWindow arrived(1 << 20, kMost, 100);
  arrived.take(1, datagram_of(1), 0);
  CHECK(!arrived.next(10'000));
  for (uint64_t now = 10'000; now < 11'000 && arrived.is_missing_any(); now++) {
    arrived.ask(now);
    if (const auto kept = arrived.next(now)) CHECK(number_of(*kept) == 1);
  }
  CHECK(arrived.counters().asked == 3);
  CHECK(arrived.counters().given_up == 1);
}

TEST_CASE("a message of the two that is another's, or of another length, is none") {
  Ask ask{.next = 7, .ranges = {{{1, 2}, {5, 1}}}, .count = 2};
  std::array<std::byte, kMostAskBytes> into{};
  const auto bytes = put_ask(ask, kToken, into);
  CHECK(read_ask(bytes, kToken)->ranges[1].first == 5);
  CHECK_FALSE(read_ask(bytes, Token{}));
  CHECK_FALSE(read_ask(bytes.first(bytes.size() - 1), kToken));
  CHECK_FALSE(read_ask(bytes.first(bytes.size() - 8), kToken));
  const auto sent = put_sent({.next = 9, .oldest = 4}, kToken);
  CHECK(read_sent(sent, kToken)->oldest == 4);
  CHECK_FALSE(read_sent(sent, Token{}));
  CHECK_FALSE(read_sent(std::span(sent).first(19), kToken));
}
