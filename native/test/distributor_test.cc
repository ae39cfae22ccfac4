// A source dealt out to readers in threads of their own, which come and go. Run it with a thread sanitizer, too.
#include "stages/distributor.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "decode/share_hash.h"
#include "stages/share_set.h"
#include "test/share_frames.h"

using namespace ringtap;
using namespace ringtap::test;
using namespace std::chrono_literals;

namespace {

/// What a source has seen of its leases.
struct Ledger {
  std::atomic<uint32_t> out{0};
  std::atomic<uint32_t> most{0};
  std::atomic<bool> closed{false};
};

/// Frames of flows, over and over, each with its number in `hash`. At its end, or for ever.
class Counting final : public Source {
 public:
  Counting(const std::vector<FlowFrame>& frames, uint64_t count, bool live, Ledger& ledger)
      : count_(count), live_(live), leases_(kLeases), ledger_(ledger) {
    size_t total = 0;
    for (const FlowFrame& frame : frames) total += frame.bytes.size();
    region_ = *Region::allocate(total);
    uint32_t at = 0;
    for (const FlowFrame& frame : frames) {
      std::copy(frame.bytes.begin(), frame.bytes.end(), region_->base() + at);
      places_.push_back({at, static_cast<uint32_t>(frame.bytes.size())});
      at += static_cast<uint32_t>(frame.bytes.size());
    }
    info_.segments.push_back({.region = region_, .base = region_->base(), .bytes = region_->bytes()});
    info_.max_leases = kLeases;
    info_.mode = "memory";
  }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter>) override { return FilterPlacement{}; }
  Result<Ok> start() override { return Ok{}; }
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    if (next_ == count_) return {.rx = Rx::kEof};
    if (leases_.full()) return {.rx = Rx::kNoBuffer};
    const auto count = static_cast<uint32_t>(std::min<uint64_t>({max, kBatch, count_ - next_}));
    for (uint32_t i = 0; i < count; i++, next_++) {
      const Place& place = places_[next_ % places_.size()];
      block.set(i, {.offset = place.at,
                    .caplen = place.bytes,
                    .wirelen = place.bytes,
                    .time_ns = static_cast<int64_t>(next_),
                    .hash = static_cast<uint32_t>(next_)});
    }
    const uint32_t out = ++ledger_.out;
    if (out > ledger_.most.load()) ledger_.most.store(out);
    return {.rx = Rx::kOk, .count = count, .segment = 0, .link_type = 1, .lease = *leases_.acquire(0)};
  }
  bool release(Lease lease) noexcept override {
    if (!leases_.release(lease)) return false;
    ledger_.out--;
    return true;
  }
  Readiness readiness() const noexcept override {
    if (live_) return {.kind = Readiness::Kind::kPoll, .max_sleep_us = 50};
    return {.kind = Readiness::Kind::kAlways};
  }
  Stats stats() const noexcept override {
    Stats stats;
    stats.received = stats.delivered = next_;
    return stats;
  }
  const Error& error() const noexcept override { return error_; }
  void close() noexcept override { ledger_.closed = true; }

  static constexpr uint32_t kLeases = 24;
  static constexpr uint32_t kBatch = 300;

 private:
  struct Place {
    uint32_t at;
    uint32_t bytes;
  };
  const uint64_t count_;
  const bool live_;
  uint64_t next_ = 0;
  LeaseTable leases_;
  Ledger& ledger_;
  std::shared_ptr<Region> region_;
  std::vector<Place> places_;
  SourceInfo info_;
  Error error_;
};

std::shared_ptr<ShareSet> set_of(const std::vector<FlowFrame>& frames, uint64_t count, uint32_t shares, bool live,
                                 Ledger& ledger, ShareHash hash = ShareHash::kBidirectional) {
  auto dealt = distribute(std::make_unique<Counting>(frames, count, live, ledger),
                          {.sharing = {.shares = shares, .hash = hash}, .batch_size = 64});
  REQUIRE(dealt);
  auto set = ShareSet::make(*std::move(dealt));
  REQUIRE(set->start());
  return set;
}

void wait(const Source& source) {
  pollfd request{source.readiness().fd, POLLIN, 0};
  poll(&request, 1, 20);
}

/// What all readers have seen, each number once.
struct Seen {
  std::vector<std::atomic<uint8_t>> times;
  explicit Seen(uint64_t count) : times(count) {}
  uint64_t total() const {
    uint64_t sum = 0;
    for (const auto& one : times) sum += one.load();
    return sum;
  }
  bool once() const {
    return std::all_of(times.begin(), times.end(), [](const auto& one) { return one.load() <= 1; });
  }
};

/// Reads a share until its end, or for so many batches. @returns whether it was the end
bool read(ShareSet& set, uint32_t share, Seen& seen, uint64_t batches, uint64_t seed) {
  auto attached = set.attach(share);
  REQUIRE(attached);
  Source& source = **attached;
  std::mt19937_64 random(seed);
  DescBlock block(64);
  std::vector<Lease> held;
  for (uint64_t i = 0; i < batches;) {
    const RxBatch batch = source.receive(block, 64);
    if (batch.rx == Rx::kEof) return true;
    if (batch.rx != Rx::kOk) {
      // Others wait for what it holds.
      while (!held.empty()) {
        CHECK(source.release(held.back()));
        held.pop_back();
      }
      wait(source);
      continue;
    }
    i++;
    for (uint32_t j = 0; j < batch.count; j++) seen.times[block.hash[j]]++;
    held.push_back(batch.lease);
    if (held.size() > 2 || random() % 2 == 0) {
      const size_t which = random() % held.size();
      CHECK(source.release(held[which]));
      held[which] = held.back();
      held.pop_back();
    }
  }
  return false;  // what it holds goes back with it
}

}  // namespace

TEST_CASE("each packet of a trace comes to one reader, by its flow, while readers end and others go on") {
  const auto frames = FlowFrames(7).make(2400);
  constexpr uint64_t kCount = 300'000;
  constexpr uint32_t kShares = 3;
  Ledger ledger;
  Seen seen(kCount);
  const auto set = set_of(frames, kCount, kShares, false, ledger);
  std::atomic<uint32_t> restarts{0};
  std::vector<std::thread> readers;
  for (uint32_t share = 0; share < kShares; share++) {
    readers.emplace_back([&, share] {
      // One is slow, and all others wait for it.
      for (uint64_t turn = 0; !read(*set, share, seen, 20 + turn % 50, turn); turn++) {
        restarts++;
        if (share == 1) std::this_thread::sleep_for(1ms);
      }
    });
  }
  for (int i = 0; i < 50; i++) {
    const Stats total = set->total();
    CHECK(total.received == total.delivered + total.filtered + total.dropped + total.pending);
    std::this_thread::sleep_for(1ms);
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(restarts > 30);
  CHECK(seen.total() == kCount);
  CHECK(seen.once());
  const Stats total = set->total();
  CHECK(total.delivered == kCount);
  CHECK(total.dropped == 0);
  CHECK(total.pending == 0);
  set->close();
  CHECK(ledger.closed);
  CHECK(set->total().delivered == kCount);
}

TEST_CASE("a reader that keeps what it has loses its own packets, and no other's") {
  const auto frames = FlowFrames(8).make(2400);
  constexpr uint64_t kCount = 200'000;
  Ledger ledger;
  Seen seen(kCount);
  const auto set = set_of(frames, kCount, 2, true, ledger, ShareHash::kBidirectional);
  auto stuck = set->attach(0);
  REQUIRE(stuck);
  DescBlock block(64);
  std::thread reader([&] { read(*set, 1, seen, UINT64_MAX, 1); });
  uint32_t held = 0;
  while (held < 2) {
    const RxBatch batch = (*stuck)->receive(block, 64);
    if (batch.rx == Rx::kOk) {
      held++;
    } else {
      wait(**stuck);
    }
  }
  reader.join();
  const Stats lost = set->stats(0);
  CHECK(lost.dropped > 0);
  CHECK(lost.received == lost.delivered + lost.dropped + lost.pending);
  CHECK(set->stats(1).received == set->stats(1).delivered + set->stats(1).dropped);
  CHECK(set->stats(1).delivered == seen.total());
  CHECK(set->total().received == kCount);
  CHECK(ledger.most < Counting::kLeases);  // it had always memory to receive into
  set->give_up(0);
  CHECK(set->total().received == set->total().delivered + set->total().dropped + set->total().pending);
}

TEST_CASE("a share that nobody will read again is lost and counted, and the others get all of theirs") {
  const auto frames = FlowFrames(9).make(2400);
  constexpr uint64_t kCount = 100'000;
  Ledger ledger;
  Seen seen(kCount);
  const auto set = set_of(frames, kCount, 2, false, ledger);
  read(*set, 0, seen, 5, 1);
  set->give_up(0);
  CHECK(read(*set, 1, seen, UINT64_MAX, 2));
  CHECK(seen.once());
  const Stats total = set->total();
  CHECK(total.received == kCount);
  CHECK(total.delivered == seen.total());
  CHECK(total.dropped == kCount - total.delivered);
  CHECK(total.pending == 0);
  const auto again = set->attach(0);
  REQUIRE(!again);
  CHECK(again.error().code == Code::kClosed);
}

TEST_CASE("a share has one reader at a time; a set ends under readers that are at work") {
  const auto frames = FlowFrames(10).make(240);
  Ledger ledger;
  const auto set = set_of(frames, UINT64_MAX, 2, false, ledger);
  {
    const auto first = set->attach(0);
    REQUIRE(first);
    const auto second = set->attach(0);
    REQUIRE(!second);
    CHECK(second.error().code == Code::kBusy);
  }
  std::vector<std::thread> readers;
  std::atomic<uint64_t> packets{0};
  for (uint32_t share = 0; share < 2; share++) {
    readers.emplace_back([&, share] {
      auto attached = set->attach(share);
      REQUIRE(attached);
      DescBlock block(64);
      for (;;) {
        const RxBatch batch = (*attached)->receive(block, 64);
        if (batch.rx == Rx::kEof) return;
        if (batch.rx != Rx::kOk) {
          wait(**attached);
          continue;
        }
        packets += batch.count;
        (*attached)->release(batch.lease);
      }
    });
  }
  while (packets < 50'000) std::this_thread::sleep_for(1ms);
  set->close();
  for (std::thread& reader : readers) reader.join();
  CHECK(ledger.closed);
  CHECK(set->total().delivered == packets);
}
