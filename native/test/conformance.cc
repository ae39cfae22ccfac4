#include "test/conformance.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

namespace ringtap::test {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr uint32_t kBlock = 256;    // capacity of the descriptor blocks
constexpr uint32_t kBurst = 200;    // packets that fit every fixture's buffer
constexpr uint32_t kFlood = 5'000;  // packets that do not
constexpr uint32_t kSomeByte = 50;  // a byte that is odd in about half of the packets of every fixture
constexpr auto kPatience = 10s;

// Small buffers: what takes a busy network to happen with the defaults happens here after a few packets.
Options small(std::optional<double> snaplen = {}) {
  Options options;
  options.set("bufferBytes", 524288.0);
  options.set("blockBytes", 65536.0);
  if (snaplen) options.set("snaplen", *snaplen);
  return options;
}

/// A lent batch and a copy of what it showed when it was lent.
class Held {
 public:
  Held(const Source& source, const DescBlock& block, const RxBatch& batch)
      : lease(batch.lease), segment(batch.segment) {
    const Segment& memory = source.info().segments.at(batch.segment);
    for (uint32_t i = 0; i < batch.count; i++) {
      const std::span<const std::byte> bytes(memory.base + block.offset[i], block.caplen[i]);
      packets_.push_back({bytes, block.wirelen[i], block.time[i]});
      copies_.emplace_back(bytes.begin(), bytes.end());
    }
  }

  const std::vector<Packet>& packets() const { return packets_; }
  bool intact() const {
    return std::equal(packets_.begin(), packets_.end(), copies_.begin(),
                      [](const Packet& p, const Bytes& copy) { return std::ranges::equal(p.bytes, copy); });
  }

  Lease lease;
  uint32_t segment;

 private:
  std::vector<Packet> packets_;
  std::vector<Bytes> copies_;
};

/// What a case remembers of a packet.
struct Seen {
  uint64_t number;
  uint32_t caplen;
  bool odd;  // its byte at kSomeByte
};

std::vector<uint64_t> numbers(const std::vector<Seen>& seen) {
  std::vector<uint64_t> result;
  for (const Seen& packet : seen) result.push_back(packet.number);
  return result;
}

void check_ledger(const Stats& now, const Stats& before = {}) {
  uint64_t by_cause = 0;
  for (const DropCause& cause : now.drops) by_cause += cause.count.value_or(0);
  CHECK(now.received == now.delivered + now.filtered + now.dropped + now.pending);
  CHECK(now.dropped == by_cause);
  CHECK(now.received >= before.received);
  CHECK(now.delivered >= before.delivered);
  CHECK(now.filtered >= before.filtered);
  CHECK(now.dropped >= before.dropped);
  CHECK(now.delivered_bytes >= before.delivered_bytes);
}

/// One open source.
class Session {
 public:
  explicit Session(const Fixture& fixture, Options options = small(), std::shared_ptr<Filter> filter = nullptr)
      : fixture_(fixture) {
    auto opened = fixture.open(std::move(options));
    REQUIRE_MESSAGE(bool(opened), opened.error().message);
    source_ = *std::move(opened);
    if (filter != nullptr) REQUIRE(source_->set_filter(std::move(filter)));
  }

  Session& start() {
    auto started = source_->start();
    INFO((started ? std::string() : started.error().message));
    REQUIRE(started);
    return *this;
  }

  Source& source() { return *source_; }
  void destroy() { source_.reset(); }

  /// receive(), and what must be true of everything it says.
  RxBatch receive(uint32_t max = kBlock) {
    const RxBatch batch = source_->receive(block_, max);
    if (batch.rx != Rx::kOk) {
      REQUIRE(batch.count == 0);
      return batch;
    }
    const SourceInfo& info = source_->info();
    REQUIRE(batch.count > 0);
    REQUIRE(batch.count <= max);
    REQUIRE(batch.lease != 0);
    REQUIRE(batch.segment < info.segments.size());
    bool inside = true;
    for (uint32_t i = 0; i < batch.count; i++) {
      inside &= uint64_t{block_.offset[i]} + block_.caplen[i] <= info.segments[batch.segment].bytes;
      inside &= block_.caplen[i] <= std::min(block_.wirelen[i], info.snaplen);
    }
    REQUIRE(inside);
    return batch;
  }

  /// The next answer that is not "wait", waiting for it.
  RxBatch next(uint32_t max = kBlock) {
    const auto deadline = Clock::now() + kPatience;
    for (;;) {
      const RxBatch batch = receive(max);
      if (batch.rx != Rx::kAgain) return batch;
      REQUIRE_MESSAGE(Clock::now() < deadline, "no packet came");
      wait_for(*source_);
    }
  }

  Held hold(uint32_t max = kBlock) {
    const RxBatch batch = next(max);
    REQUIRE(batch.rx == Rx::kOk);
    return show(batch);
  }
  Held show(const RxBatch& batch) const { return {*source_, block_, batch}; }

  std::vector<Seen> look(const Held& held) const {
    std::vector<Seen> seen;
    for (const Packet& packet : held.packets()) {
      const auto number = fixture_.number(packet);
      if (!number) FAIL("a packet that nobody sent");
      const auto caplen = static_cast<uint32_t>(packet.bytes.size());
      const bool odd = caplen > kSomeByte && (packet.bytes[kSomeByte] & std::byte{1}) != std::byte{0};
      seen.push_back({*number, caplen, odd});
    }
    return seen;
  }

  /// Makes packets arrive, never more than fit the buffer, until those of `expected` (numbers among the first `sent`)
  /// were received.
  std::vector<Seen> take(const std::vector<uint64_t>& expected, uint64_t sent, uint32_t max = 64) {
    std::vector<Seen> seen;
    uint64_t fed = 0;
    while (seen.size() < expected.size()) {
      if (expected[seen.size()] >= fed) {
        REQUIRE(fed < sent);
        fed += fixture_.feed(static_cast<uint32_t>(std::min<uint64_t>(kBurst, sent - fed)));
        continue;
      }
      const Held held = hold(static_cast<uint32_t>(std::min<uint64_t>(max, expected.size() - seen.size())));
      for (const Seen& packet : look(held)) seen.push_back(packet);
      REQUIRE(source_->release(held.lease));
    }
    return seen;
  }
  std::vector<Seen> take(uint64_t count, uint32_t max = 64) { return take(first(count), count, max); }

  static std::vector<uint64_t> first(uint64_t count) {
    std::vector<uint64_t> result(count);
    std::iota(result.begin(), result.end(), 0);
    return result;
  }

 private:
  const Fixture& fixture_;
  std::unique_ptr<Source> source_;
  DescBlock block_{kBlock};
};

/// Numbers, among the first `count`, of packets whose byte at kSomeByte is odd: seen without a filter.
std::vector<uint64_t> odd_numbers(const Fixture& fixture, uint64_t count) {
  std::vector<uint64_t> result;
  for (const Seen& packet : Session(fixture).start().take(count)) {
    if (packet.odd) result.push_back(packet.number);
  }
  REQUIRE(result.size() > count / 4);
  REQUIRE(result.size() < count - count / 4);
  return result;
}

/// Another thread that does something again and again for as long as it lives.
class Meanwhile {
 public:
  template <class Step>
  explicit Meanwhile(Step step)
      : thread_([this, step = std::move(step)]() mutable {
          while (!stop_.load(std::memory_order_relaxed)) step();
        }) {}
  ~Meanwhile() {
    stop_ = true;
    thread_.join();
  }
  Meanwhile(const Meanwhile&) = delete;
  Meanwhile& operator=(const Meanwhile&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Resources {
  ptrdiff_t descriptors;
  ptrdiff_t mappings;
  static Resources now() {
    const std::filesystem::directory_iterator descriptors("/proc/self/fd");
    std::ifstream maps("/proc/self/maps");
    return {std::distance(begin(descriptors), end(descriptors)),
            std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n')};
  }
};

const std::vector<Fixture>& all_fixtures() {
  static const std::vector<Fixture> all = fixtures();
  return all;
}

template <class Body>
void with_each_fixture(Body body) {
  for (const Fixture& fixture : all_fixtures()) {
    SUBCASE(fixture.name.c_str()) { body(fixture); }
  }
}

}  // namespace

TEST_CASE("the suite has something to run on") {
  if (all_fixtures().empty()) MESSAGE("not run: needs a lab, see `npm run lab`");
}

TEST_CASE("every packet is delivered once and in order") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    CHECK(numbers(session.start().take(5000)) == Session::first(5000));
    const Stats stats = session.source().stats();
    check_ledger(stats);
    CHECK(stats.delivered == 5000);
    CHECK(stats.dropped == 0);
  });
}

TEST_CASE("a batch has at most max packets, each inside the batch's segment and no longer than wirelen and snaplen") {
  with_each_fixture([](const Fixture& fixture) {
    for (const uint32_t max : {1u, 2u, 7u, kBlock}) {
      CHECK(numbers(Session(fixture).start().take(600, max)) == Session::first(600));  // Session::receive checks
    }
    for (const Seen& packet : Session(fixture, small(40)).start().take(600)) CHECK(packet.caplen == 40);
  });
}

TEST_CASE("a batch's bytes stay intact until its lease is released, whatever arrives meanwhile") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    fixture.feed(kBurst);
    const Held held = session.hold(16);
    for (uint32_t sent = 0; sent < kFlood; sent += kBurst) {
      fixture.feed(kBurst);
      for (uint32_t received = 0; received < kBurst;) {
        const RxBatch batch = session.receive();
        if (batch.rx != Rx::kOk) break;  // a ring that goes no further than the held batch
        received += batch.count;
        REQUIRE(session.source().release(batch.lease));
      }
      REQUIRE(held.intact());
    }
    CHECK(session.source().release(held.lease));
  });
}

TEST_CASE("as many leases as max_leases can be out; one more receive is kNoBuffer and changes nothing") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    const uint32_t most = session.source().info().max_leases;
    fixture.feed(most + kBurst);
    std::vector<Held> held;
    for (uint32_t i = 0; i < most; i++) held.push_back(session.hold(1));
    const Stats before = session.source().stats();
    for (int i = 0; i < 3; i++) CHECK(session.receive().rx == Rx::kNoBuffer);
    const Stats after = session.source().stats();
    check_ledger(after, before);
    CHECK(after.delivered == before.delivered);
    CHECK(after.filtered == before.filtered);
    CHECK(after.delivered_bytes == before.delivered_bytes);

    // After a release it goes on where it was, and nothing that is lent was overwritten.
    for (uint32_t i = 0; i < most; i++) {
      REQUIRE(session.source().release(held[i].lease));
      held[i] = session.hold(1);
      REQUIRE(session.look(held[i])[0].number == most + i);
      REQUIRE(session.receive().rx == Rx::kNoBuffer);
      for (const Held& other : held) REQUIRE(other.intact());
    }
  });
}

TEST_CASE("whoever holds all leases but one, however much they hold, goes on receiving or is told why not") {
  with_each_fixture([](const Fixture& fixture) {
    for (const bool filtered : {false, true}) {
      CAPTURE(filtered);
      Session session(fixture, small(), filtered ? odd_filter(kSomeByte) : nullptr);
      session.start();
      uint64_t sent = 0;
      // The next answer that is not "wait", with packets to wait for. In silence nothing stops.
      const auto answer = [&] {
        const auto deadline = Clock::now() + kPatience;
        for (;;) {
          const RxBatch batch = session.receive();
          if (batch.rx != Rx::kAgain) return batch;
          REQUIRE_MESSAGE(Clock::now() < deadline, "nothing is delivered, and no word why");
          sent += fixture.feed(kBlock);
          wait_for(session.source(), 20);
        }
      };
      const uint32_t most = session.source().info().max_leases - 1;
      std::vector<Held> held;
      RxBatch batch;
      while (held.size() < most && (batch = answer()).rx == Rx::kOk) held.push_back(session.show(batch));
      for (uint32_t seen = 0; held.size() == most && seen < 1000; seen += batch.count) {
        batch = answer();
        if (batch.rx != Rx::kOk) break;
        REQUIRE(session.source().release(batch.lease));
      }
      const bool ended = fixture.ends_after != 0 && batch.rx == fixture.end;
      if (!ended) CHECK((batch.rx == Rx::kOk || (batch.rx == Rx::kNoBuffer && fixture.in_order)));
      check_ledger(session.source().stats());
      std::mt19937 random(11);
      std::shuffle(held.begin(), held.end(), random);
      for (const Held& one : held) {
        REQUIRE(one.intact());
        REQUIRE(session.source().release(one.lease));
      }
      if (fixture.endless) continue;
      // It goes on, and of all that was sent nothing is missing in the ledger.
      batch = answer();
      REQUIRE(batch.rx == Rx::kOk);
      REQUIRE(session.source().release(batch.lease));
      const auto deadline = Clock::now() + kPatience;
      for (Stats now = session.source().stats(); now.pending > 0 || (!filtered && now.received < sent);
           now = session.source().stats()) {
        REQUIRE(Clock::now() < deadline);
        batch = session.receive();
        if (batch.rx == Rx::kOk) REQUIRE(session.source().release(batch.lease));
        if (batch.rx == Rx::kAgain) wait_for(session.source(), 20);
      }
      check_ledger(session.source().stats());
      if (!filtered) CHECK(session.source().stats().received == sent);
    }
  });
}

TEST_CASE("what a source lends is left out when the process forks") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    for (const Segment& segment : session.source().info().segments) {
      CHECK(kept_from_children(segment.base));
      CHECK(kept_from_children(segment.base + segment.bytes - 1));
    }
  });
}

TEST_CASE("leases may be released in any order, in any interleaving with receiving") {
  with_each_fixture([](const Fixture& fixture) {
    for (const unsigned seed : {1u, 2u, 3u}) {
      CAPTURE(seed);
      std::mt19937 random(seed);
      const auto below = [&random](size_t bound) { return random() % bound; };
      Session session(fixture);
      session.start();
      std::vector<Held> held;
      std::optional<uint64_t> last;
      uint64_t sent = 0;
      const auto release_one = [&] {
        const auto chosen = held.begin() + static_cast<ptrdiff_t>(below(held.size()));
        REQUIRE(chosen->intact());
        REQUIRE(session.source().release(chosen->lease));
        held.erase(chosen);
      };
      const auto receive_one = [&](uint32_t max) {
        const RxBatch batch = session.receive(max);
        if (batch.rx == Rx::kOk) {
          held.push_back(session.show(batch));
          for (const Seen& packet : session.look(held.back())) {
            REQUIRE((!last || packet.number > *last));
            last = packet.number;
          }
        } else if (batch.rx == Rx::kNoBuffer) {
          REQUIRE(!held.empty());
          release_one();
        }
        return batch.rx;
      };
      for (int step = 0; step < 600; step++) {
        if (!fixture.endless && below(4) == 0) sent += fixture.feed(1 + below(100));
        if (below(2) == 0) receive_one(1 + below(32));
        if (!held.empty() && below(3) == 0) release_one();
      }
      while (!held.empty()) release_one();
      if (fixture.endless) continue;
      // What is missing was dropped, and is counted.
      const auto deadline = Clock::now() + kPatience;
      for (Stats stats = session.source().stats(); stats.delivered + stats.dropped < sent;
           stats = session.source().stats()) {
        REQUIRE(Clock::now() < deadline);
        if (receive_one(kBlock) == Rx::kOk) release_one();
      }
      check_ledger(session.source().stats());
      CHECK(session.source().stats().received == sent);
    }
  });
}

TEST_CASE("a lease that is released twice or was never given is reported false and harms nothing") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    fixture.feed(kBurst);
    Source& source = session.source();
    const Held first = session.hold(1);
    const Held second = session.hold(1);
    CHECK(source.release(first.lease));
    CHECK_FALSE(source.release(first.lease));
    const Held third = session.hold(1);
    for (const Lease never : {Lease{0}, first.lease, third.lease + 1'000'000, ~Lease{0}}) {
      CHECK_FALSE(source.release(never));
    }
    CHECK(second.intact());
    CHECK(third.intact());
    CHECK(source.release(third.lease));
    CHECK(source.release(second.lease));
    CHECK(session.look(session.hold(1))[0].number == 3);
  });
}

TEST_CASE("closing with leases out is clean, and what they lend lives as long as a segment is held") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    fixture.feed(kBurst);
    const Held released = session.hold(8);
    const Held kept = session.hold(8);
    std::vector<Segment> segments = session.source().info().segments;
    const std::weak_ptr<Region> region = segments.at(kept.segment).region;
    session.source().close();
    CHECK(released.intact());
    session.source().release(released.lease);
    CHECK_FALSE(session.source().release(released.lease));
    fixture.feed(kBurst);
    CHECK(kept.intact());
    session.destroy();
    CHECK(kept.intact());
    segments.clear();
    CHECK(region.expired());
  });
}

TEST_CASE("close is idempotent and final, and what was counted stays") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start().take(100);
    Source& source = session.source();
    source.close();
    const Stats before = source.stats();
    check_ledger(before);
    CHECK(before.delivered == 100);
    source.close();
    for (int i = 0; i < 3; i++) {
      const Rx rx = session.receive().rx;
      CHECK((rx == Rx::kEof || rx == Rx::kError));
      std::this_thread::sleep_for(1ms);
    }
    const Stats after = source.stats();
    check_ledger(after, before);
    CHECK(after.received == before.received);
    source.close();
  });
}

TEST_CASE("a source is destroyed without being closed or started, with leases out or none") {
  with_each_fixture([](const Fixture& fixture) {
    { Session never_started(fixture); }
    Session session(fixture);
    session.start();
    fixture.feed(kBurst);
    const Held held = session.hold(8);
    std::vector<Segment> segments = session.source().info().segments;
    session.destroy();
    CHECK(held.intact());
  });
}

TEST_CASE("reading statistics changes nothing") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    check_ledger(session.source().stats());
    session.start().take(300);
    const Stats first = session.source().stats();
    for (int i = 0; i < 10; i++) {
      const Stats again = session.source().stats();
      check_ledger(again, first);
      CHECK(again.delivered == 300);
      CHECK(again.delivered_bytes == first.delivered_bytes);
      if (!fixture.endless) CHECK(again.received == first.received);
    }
  });
}

TEST_CASE("statistics add up and never go back, whenever they are read while packets arrive") {
  with_each_fixture([](const Fixture& fixture) {
    const std::vector<uint64_t> expected = odd_numbers(fixture, 5000);
    Session session(fixture, small(), odd_filter(kSomeByte));
    Stats before = session.source().stats();
    const auto read = [&] {
      const Stats now = session.source().stats();
      check_ledger(now, before);
      before = now;
    };
    session.start();
    std::atomic<uint64_t> passed{0};  // packets that were received or rejected
    const Meanwhile sending([&fixture, &passed, sent = uint64_t{0}]() mutable {
      const uint64_t room = passed.load(std::memory_order_relaxed) + kBurst - std::min(sent, uint64_t{5000});
      if (sent < 5000 && room > kBurst / 2) {
        sent += fixture.feed(static_cast<uint32_t>(std::min<uint64_t>(room - kBurst / 2, 5000 - sent)));
      } else {
        std::this_thread::sleep_for(50us);
      }
    });
    std::vector<uint64_t> received;
    while (received.size() < expected.size()) {
      read();
      const Held held = session.hold(static_cast<uint32_t>(std::min<size_t>(64, expected.size() - received.size())));
      read();
      for (const Seen& packet : session.look(held)) received.push_back(packet.number);
      passed = received.back() + 1;
      REQUIRE(session.source().release(held.lease));
    }
    CHECK(received == expected);
    read();
    CHECK(before.delivered == expected.size());
  });
}

TEST_CASE("pending, asked from another thread all the while, disturbs no packet") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    const Meanwhile asking([&source = session.source()] {
      source.pending();
      std::this_thread::sleep_for(10us);
    });
    CHECK(numbers(session.take(3000, 16)) == Session::first(3000));
  });
}

TEST_CASE("a filter decides alone which packets are delivered, on the whole packet whatever the snaplen") {
  with_each_fixture([](const Fixture& fixture) {
    const std::vector<uint64_t> expected = odd_numbers(fixture, 2000);
    {
      Session session(fixture, small(), odd_filter(kSomeByte));
      for (const Seen& packet : session.start().take(expected, 2000)) REQUIRE(packet.odd);
      CHECK(session.source().stats().delivered == expected.size());
      if (!fixture.endless) CHECK(session.receive().rx == Rx::kAgain);
    }
    Session cut(fixture, small(24), odd_filter(kSomeByte));
    const std::vector<Seen> seen = cut.start().take(expected, 2000);
    CHECK(numbers(seen) == expected);
    for (const Seen& packet : seen) REQUIRE(packet.caplen == 24);
  });
}

TEST_CASE("a filter that accepts n bytes of a packet keeps n bytes, within the snaplen") {
  with_each_fixture([](const Fixture& fixture) {
    const std::vector<uint64_t> expected = odd_numbers(fixture, 400);
    for (const uint32_t accepted : {30u, 40u, 50u}) {
      CAPTURE(accepted);
      Session session(fixture, small(40), odd_filter(kSomeByte, accepted));
      for (const Seen& packet : session.start().take(expected, 400)) REQUIRE(packet.caplen == std::min(accepted, 40u));
    }
  });
}

TEST_CASE("a filter is in force before the first packet, with traffic flowing before the start") {
  with_each_fixture([](const Fixture& fixture) {
    if (fixture.endless) return;
    for (int round = 0; round < 20; round++) {
      Session session(fixture, small(), odd_filter(kSomeByte));
      std::vector<Seen> seen;
      {
        const Meanwhile sending([&fixture] {
          fixture.feed(8);
          std::this_thread::sleep_for(200us);
        });
        std::this_thread::sleep_for(1ms);
        session.start();
        while (seen.size() < 50) {
          const Held held = session.hold();
          for (const Seen& packet : session.look(held)) seen.push_back(packet);
          REQUIRE(session.source().release(held.lease));
        }
      }
      for (const Seen& packet : seen) REQUIRE(packet.odd);
      for (size_t i = 1; i < seen.size(); i++) REQUIRE(seen[i].number == seen[i - 1].number + 2);
    }
  });
}

TEST_CASE("a filter that cannot be compiled for the link type is an error, and the source can still be closed") {
  class Broken final : public Filter {
    Result<const Program*> program(const FilterTarget&) override {
      return Error{.code = Code::kBadFilter, .message = "broken"};
    }
  };
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    const auto placed = session.source().set_filter(std::make_shared<Broken>());
    REQUIRE_FALSE(placed);
    CHECK(placed.error().code == Code::kBadFilter);
    session.source().close();
  });
}

TEST_CASE("a source becomes ready when packets are there, and none is lost between kAgain and readiness") {
  with_each_fixture([](const Fixture& fixture) {
    Session session(fixture);
    session.start();
    std::atomic<uint64_t> sent{0};
    std::thread sender([&] {
      std::mt19937 random(7);
      while (sent < 1000) {
        sent += fixture.feed(std::min<uint32_t>(1 + random() % 10, 1000 - static_cast<uint32_t>(sent)));
        if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
      }
    });
    std::vector<uint64_t> received;
    bool timely = true;
    while (timely && received.size() < 1000) {
      const RxBatch batch = session.receive(static_cast<uint32_t>(std::min<size_t>(16, 1000 - received.size())));
      if (batch.rx == Rx::kAgain) timely = wait_for(session.source());
      if (batch.rx != Rx::kOk) continue;
      for (const Seen& packet : session.look(session.show(batch))) received.push_back(packet.number);
      session.source().release(batch.lease);
    }
    sender.join();
    CHECK(timely);
    CHECK(received == Session::first(1000));
  });
}

TEST_CASE("the end is final, comes after the last packet and leaves nothing pending") {
  with_each_fixture([](const Fixture& fixture) {
    if (fixture.ends_after == 0) return;
    Session session(fixture);
    CHECK(numbers(session.start().take(fixture.ends_after - 1)) == Session::first(fixture.ends_after - 1));
    const Held last = session.hold();
    CHECK(last.packets().size() == 1);
    for (int i = 0; i < 3; i++) CHECK(session.next().rx == fixture.end);
    CHECK(session.source().release(last.lease));
    for (int i = 0; i < 3; i++) CHECK(session.receive().rx == fixture.end);
    if (fixture.end == Rx::kError) CHECK_FALSE(session.source().error().message.empty());
    const Stats stats = session.source().stats();
    check_ledger(stats);
    CHECK(stats.delivered == fixture.ends_after);
    CHECK(stats.pending == 0);
  });
}

TEST_CASE("opening 200 times leaks no descriptor and no mapping, however it ends") {
  with_each_fixture([](const Fixture& fixture) {
    const auto once = [&fixture](int i) {
      Session session(fixture, small(), i % 2 == 0 ? odd_filter(kSomeByte) : nullptr);
      if (i % 3 == 0) return;
      session.start();
      fixture.feed(10);
      const Held held = session.hold();
      if (i % 3 == 1) session.source().close();
    };
    for (int i = 0; i < 12; i++) once(i);
    const Resources before = Resources::now();
    for (int i = 0; i < 200; i++) once(i);
    const Resources after = Resources::now();
    CHECK(after.descriptors == before.descriptors);
    CHECK(after.mappings < before.mappings + 20);
  });
}

}  // namespace ringtap::test
