// A trace in memory, and the thread that sends it.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "core/byte_order.h"
#include "replay/lateness.h"
#include "replay/player.h"

using namespace ringtap;
using namespace ringtap::replay;
using namespace std::chrono_literals;

namespace {

/// Takes frames, `most` in a call.
struct Sink {
  std::mutex mutex;
  std::vector<uint32_t> numbers;
  std::vector<int64_t> times;
  size_t most = 1000;
  bool stuck = false;
  std::vector<uint32_t>* order = nullptr;

  Way way() {
    return {.send = [this](std::span<const TxFrame> frames) -> Result<uint32_t> {
              const std::scoped_lock lock(mutex);
              if (stuck) return 0u;
              uint32_t taken = 0;
              for (const TxFrame frame : frames) {
                if (taken == most) break;
                numbers.push_back(load_big<uint32_t>(frame.data() + 14));
                if (order != nullptr) order->push_back(numbers.back());
                times.push_back(std::chrono::steady_clock::now().time_since_epoch().count());
                taken++;
              }
              return taken;
            },
            .flush = []() -> Result<Ok> { return Ok{}; },
            .stats = [this] { return TxStats{.accepted = numbers.size(), .completed = numbers.size()}; },
            .limits = {}};
  }
};

std::vector<std::byte> frame(uint32_t number, size_t bytes = 60, uint8_t from = 1, uint8_t to = 2) {
  std::vector<std::byte> made(bytes);
  made[5] = static_cast<std::byte>(to);
  made[11] = static_cast<std::byte>(from);
  store_big(made.data() + 12, uint16_t{0x88b5});
  store_big(made.data() + 14, number);
  return made;
}

}  // namespace

TEST_CASE("percentiles of lateness are within a 32nd of what was added") {
  Lateness lateness;
  for (int64_t ns = 1; ns <= 100'000; ns++) lateness.add(ns, 1);
  lateness.add(-5, 0);
  for (const double part : {0.01, 0.5, 0.9, 0.99}) {
    const double value = static_cast<double>(lateness.percentile(part));
    CHECK(value <= part * 100'000 + 1);
    CHECK(value >= part * 100'000 * 31 / 32 - 1);
  }
  CHECK(lateness.most() == 100'000);
  CHECK(lateness.percentile(1) == 100'000);
  lateness.add(INT64_MAX, 1);
  CHECK(lateness.most() == INT64_MAX);
}

TEST_CASE("every frame of every loop goes out once and in order, never early") {
  for (const auto pace :
       {Settings::Pace::kRecorded, Settings::Pace::kPackets, Settings::Pace::kBits, Settings::Pace::kTopSpeed}) {
    Sink sink;
    sink.most = 7;
    Settings settings{.pace = pace, .loops = 3};
    const bool recorded = pace == Settings::Pace::kRecorded;
    if (pace == Settings::Pace::kPackets) settings.rate = 100'000;
    if (pace == Settings::Pace::kBits) settings.rate = 60 * 8 * 100'000.0;
    Player player(settings, {sink.way()});
    for (uint32_t i = 0; i < 1'000; i++) REQUIRE(*player.add(frame(i), 60, int64_t{i} * 10'000));
    REQUIRE(player.play());
    REQUIRE(sink.numbers.size() == 3'000);
    for (uint32_t i = 0; i < 3'000; i++) REQUIRE(sink.numbers[i] == i % 1'000);
    const Progress progress = player.progress();
    CHECK(progress.sent == 3'000);
    CHECK(progress.loops == 3);
    CHECK(progress.bytes == 180'000);
    if (pace == Settings::Pace::kTopSpeed) continue;
    for (uint32_t i = 0; i < 3'000; i++) REQUIRE(sink.times[i] - sink.times[0] >= int64_t{i} * 10'000 - 10'000'000);
    CHECK(progress.elapsed_ns >= 2'999 * 10'000);
    CHECK(progress.planned_ns == doctest::Approx(recorded ? 2'999 * 10'010.0 : 2'999 * 10'000.0).epsilon(0.01));
  }
}

TEST_CASE("two ways keep the order between them, and each frame takes its own") {
  std::vector<uint32_t> order;
  Sink client;
  Sink server;
  client.order = server.order = &order;
  Player player({.pace = Settings::Pace::kTopSpeed}, {client.way(), server.way()});
  for (uint32_t i = 0; i < 500; i++) {
    const bool asks = i % 3 == 0;
    REQUIRE(player.add(frame(i, 60, asks ? 1 : 9, asks ? 9 : 1), 60, 0));
  }
  REQUIRE(player.play());
  REQUIRE(order.size() == 500);
  for (uint32_t i = 0; i < 500; i++) REQUIRE(order[i] == i);
  for (const uint32_t number : client.numbers) CHECK(number % 3 == 0);
  CHECK(client.numbers.size() + server.numbers.size() == 500);
}

TEST_CASE("what is too long is refused, cut or left out, as was asked for, and counted") {
  Sink sink;
  const auto player = [&](Oversize oversize) {
    return std::make_unique<Player>(Settings{.pace = Settings::Pace::kTopSpeed, .oversize = oversize},
                                    std::vector<Way>{sink.way()});
  };
  const auto refusing = player(Oversize::kRefuse)->add(frame(1, 2'000), 2'000, 0);
  REQUIRE_FALSE(refusing);
  CHECK(refusing.error().message == "packet 1 has 2000 bytes, and the interface takes 1514: nothing was sent");
  auto cutting = player(Oversize::kTruncate);
  CHECK(*cutting->add(frame(2, 2'000), 2'000, 0));
  REQUIRE(cutting->play());
  CHECK(cutting->progress().bytes == 1'514);
  CHECK(cutting->progress().truncated == 1);
  auto skipping = player(Oversize::kSkip);
  CHECK_FALSE(*skipping->add(frame(3, 2'000), 2'000, 0));
  CHECK_FALSE(*skipping->add(std::vector<std::byte>(13), 13, 0));
  REQUIRE(skipping->play());
  CHECK(skipping->progress().skipped == 2);
  CHECK(skipping->progress().sent == 0);
}

TEST_CASE("times that go back are waited for no longer, and are counted") {
  Sink sink;
  Player player({}, {sink.way()});
  for (const int64_t time : {0, 1'000'000, 500'000, 2'000'000}) REQUIRE(player.add(frame(1), 60, time));
  REQUIRE(player.play());
  CHECK(player.progress().backwards == 1);
  CHECK(sink.numbers.size() == 4);
}

TEST_CASE("it ends at once when it is stopped, whatever it waits for") {
  for (const bool stuck : {false, true}) {
    Sink sink;
    sink.stuck = stuck;
    Player player({.pace = Settings::Pace::kPackets, .rate = 0.01}, {sink.way()});
    for (uint32_t i = 0; i < 3; i++) REQUIRE(player.add(frame(i), 60, 0));
    std::thread stopper([&] {
      std::this_thread::sleep_for(20ms);
      player.stop();
    });
    REQUIRE(player.play());
    stopper.join();
    CHECK(player.is_stopped());
    CHECK(player.progress().sent == (stuck ? 0 : 1));
  }
}

TEST_CASE("a failure on the way ends it, and memory has a limit") {
  Sink sink;
  Way broken = sink.way();
  broken.send = [](std::span<const TxFrame>) -> Result<uint32_t> {
    return Error{.code = Code::kInterfaceDown, .message = "down"};
  };
  Player player({}, {broken});
  REQUIRE(player.add(frame(1), 60, 0));
  CHECK(player.play().error().code == Code::kInterfaceDown);
  Player small({.memory_bytes = 100}, {sink.way()});
  REQUIRE(small.add(frame(1), 60, 0));
  CHECK(small.add(frame(2), 60, 0).error().code == Code::kNoMemory);
}
