// The thread that forwards, and those who change its rules, count and read its taps meanwhile. For ThreadSanitizer,
// too.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "core/unique_fd.h"
#include "forward/forwarder.h"
#include "forward/tap_ring.h"
#include "forward_frames.h"

using namespace ringtap;
using namespace ringtap::forward;
using namespace ringtap::forward::test;

namespace {

constexpr uint32_t kBatch = 32;

/// An interface that says the same datagram again and again, of many clients; and one that knows its neighbour.
class Machine final : public Nic {
 public:
  Machine(std::string name, Mac mac, uint32_t packets) : name_(std::move(name)), mac_(mac), left_(packets) {
    eventfd_write(frames_.get(), 1);
    memory_.resize(kBatch, Bytes(kHeadroom + 128));
  }
  const std::string& name() const noexcept override { return name_; }
  const Mac& mac() const noexcept override { return mac_; }
  int fd() const noexcept override { return frames_.get(); }
  int news_fd() const noexcept override { return news_.get(); }
  State state() noexcept override { return {.is_up = true, .mtu = 1500, .downs = 0}; }
  uint64_t missed() noexcept override { return 0; }

  std::span<Frame> receive() noexcept override {
    batch_.clear();
    if (!answers_.empty()) {
      said_ = std::move(answers_);
      answers_.clear();
      for (Bytes& one : said_) batch_.push_back({.data = one.data(), .length = static_cast<uint32_t>(one.size())});
      return batch_;
    }
    for (uint32_t i = 0; i < kBatch && left_ > 0; i++, left_--) {
      const Bytes frame = frame_of({.source = ipv4(0x0a010100 + left_ % 100),
                                    .destination = ipv4(0x0a010005),
                                    .payload = udp(static_cast<uint16_t>(5000 + left_ % 7), 53, 20),
                                    .to = mac_});
      std::copy(frame.begin(), frame.end(), memory_[i].begin() + kHeadroom);
      batch_.push_back({.data = memory_[i].data() + kHeadroom, .length = static_cast<uint32_t>(frame.size())});
    }
    if (batch_.empty()) {
      eventfd_t count = 0;
      eventfd_read(frames_.get(), &count);
    }
    return batch_;
  }
  void queue(const Frame& frame, Ledger* ledger) override { queue_.push_back({frame, ledger}); }
  void flush(const Done& done) override {
    for (const auto& [frame, ledger] : std::exchange(queue_, {})) {
      const auto told =
          read_link(frame.bytes())->type == kEtherArp ? read_arp(frame.bytes(), {14, kEtherArp}) : std::nullopt;
      if (told && told->kind == NeighbourTold::Kind::kRequest && told->sender != told->target) {
        answers_.push_back(
            neighbour_reply({.to = mac_, .from = test::mac(77)}, told->target, told->sender, mac_, true));
        eventfd_write(frames_.get(), 1);
      }
      done(frame, ledger, std::nullopt);
    }
  }
  Result<Ok> guard(const std::vector<Address>&) override { return Ok{}; }
  Result<Ok> guard_tunnels(const std::vector<Address>&) override { return Ok{}; }

 private:
  const std::string name_;
  const Mac mac_;
  uint32_t left_;
  const UniqueFd frames_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}, news_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::vector<Bytes> memory_, answers_, said_;
  std::vector<Frame> batch_;
  std::vector<std::pair<Frame, Ledger*>> queue_;
};

class RingTaps final : public Taps {
 public:
  explicit RingTaps(std::shared_ptr<TapRing> ring) : ring_(std::move(ring)) {}
  ~RingTaps() override { ring_->end(); }
  void ingress(uint16_t port, const Frame& frame) override { ring_->push(port, frame, frame.time_ns, 0); }
  void synthetic(uint16_t, const Frame&) override {}
  void egress(uint16_t, const Frame&) override {}
  void flush() override { ring_->flush(); }
  bool wants_synthetic() const noexcept override { return false; }

 private:
  const std::shared_ptr<TapRing> ring_;
};

}  // namespace

TEST_CASE(
    "rules change, counters are read and a tap is read while the thread forwards, and no packet is lost count of") {
  constexpr uint32_t kPackets = 100'000;
  auto ring = TapRing::create(1 << 20);
  REQUIRE(ring);
  std::vector<std::unique_ptr<Nic>> nics;
  nics.push_back(std::make_unique<Machine>("near", mac(1), kPackets));
  nics.push_back(std::make_unique<Machine>("far", mac(2), 0));
  auto forwarder = Forwarder::start(std::move(nics), std::make_unique<RingTaps>(*ring));
  REQUIRE(forwarder);
  Rule rule{.name = "many",
            .sides = {Side{.port = 0, .peer = {}, .own = ipv4(0x0a010005)},
                      Side{.port = 1, .peer = ipv4(0x0a020002), .own = ipv4(0x0a020005)}},
            .kind = Kind::kNat,
            .ledgers = std::make_shared<std::array<Ledger, 2>>()};
  rule.settings.timeouts_ns.fill(20'000'000);
  rule.nat = std::make_shared<Nat>(rule.settings, 3);
  Rule other = rule;
  other.name = "other";
  other.sides[0].own = ipv4(0x0a010006);
  other.sides[1].own = ipv4(0x0a020006);
  std::atomic<bool> is_over{false};
  std::atomic<uint32_t> changes{0};
  std::thread changing([&] {
    for (uint32_t i = 0; !is_over; i++) {
      other.nat = std::make_shared<Nat>(other.settings, i);
      other.ledgers = std::make_shared<std::array<Ledger, 2>>();
      auto table = Table::create(i % 2 == 0 ? std::vector<Rule>{rule} : std::vector<Rule>{rule, other});
      std::atomic<bool> is_done{false};
      if (!table || !(*forwarder)->set(*table, [&] { is_done = true; })) break;
      while (!is_done && !is_over) std::this_thread::yield();
      changes++;
      if (rule.nat->ledger().entries.get() > 700 || (*forwarder)->silent_ns() > 5'000'000'000) break;
    }
  });
  TapSource source(*ring);
  DescBlock block(64);
  uint64_t bytes = 0;
  Ledger& ledger = (*rule.ledgers)[0];
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto read = [&] {
    const RxBatch batch = source.receive(block, 64);
    if (batch.rx != Rx::kOk) return batch.rx;
    for (uint32_t i = 0; i < batch.count; i++) {
      const std::byte* at = source.info().segments[0].base + block.offset[i];
      bytes += block.caplen[i] + std::to_integer<uint64_t>(at[12]);  // 0x08, of IPv4
    }
    CHECK(source.release(batch.lease));
    return batch.rx;
  };
  // Those that came before the first rule are of none.
  const auto all = [&] {
    return (*forwarder)->port_ledger(0).matched.get() + (*forwarder)->port_ledger(0).frames.get();
  };
  uint64_t before = 0;
  while (std::chrono::steady_clock::now() < give_up) {
    if (read() == Rx::kOk) continue;
    pollfd wait{.fd = source.readiness().fd, .events = POLLIN, .revents = 0};
    const bool is_woken = poll(&wait, 1, 300) > 0;
    if (!is_woken && all() == before && (*forwarder)->port_ledger(0).frames.get() >= kPackets) break;
    before = all();
  }
  is_over = true;
  changing.join();
  CHECK(changes > 2);
  (*forwarder)->stop();
  CHECK((*forwarder)->port_ledger(0).frames.get() >= kPackets);
  const uint64_t matched = (*forwarder)->port_ledger(0).matched.get();
  CHECK(matched > 0);
  CHECK(ledger.ingress.get() == matched);
  uint64_t sum = ledger.egress.get();
  for (const Counter& drop : ledger.drops) sum += drop.get();
  CHECK(ledger.ingress.get() == sum);
  CHECK(rule.nat->ledger().created.get() >= 700);
  forwarder->reset();
  while (read() == Rx::kOk) continue;
  CHECK(read() == Rx::kEof);
  const Stats stats = source.stats();
  CHECK(stats.received == matched);
  CHECK(stats.delivered + stats.dropped == matched);
  CHECK(stats.pending == 0);
  CHECK(bytes == stats.delivered_bytes + stats.delivered * 8);
  source.close();
  CHECK(source.stats().received == matched);
  CHECK(source.receive(block, 64).rx == Rx::kEof);
}

TEST_CASE("a ring that is full drops what is new, and batches that are held are not written over") {
  auto ring = TapRing::create(1 << 20);
  REQUIRE(ring);
  TapSource source(*ring);
  DescBlock block(64);
  CHECK(source.receive(block, 64).rx == Rx::kAgain);
  Bytes bytes(1000);
  const auto push = [&](uint8_t what) {
    std::fill(bytes.begin(), bytes.end(), std::byte{what});
    (*ring)->push(1, {.data = bytes.data(), .length = 1000}, 0, 0);
  };
  for (int i = 0; i < 2000; i++) push(1);
  const Stats full = source.stats();
  CHECK(full.received == 2000);
  CHECK(full.pending == (1 << 20) / 1000);
  CHECK(full.dropped == 2000 - full.pending);
  CHECK(full.drops.at(0).count == full.dropped);
  const RxBatch held = source.receive(block, 10);
  REQUIRE(held.count == 10);
  CHECK(block.queue[0] == 1);
  const std::byte* first = source.info().segments[0].base + block.offset[0];
  DescBlock others(64);
  // Out of order: nothing is free before the oldest is back.
  for (RxBatch batch = source.receive(others, 64); batch.rx == Rx::kOk; batch = source.receive(others, 64)) {
    CHECK(source.release(batch.lease));
  }
  for (int i = 0; i < 2000; i++) push(2);
  CHECK(std::all_of(first, first + 1000, [](std::byte one) { return one == std::byte{1}; }));
  CHECK(source.release(held.lease));
  CHECK_FALSE(source.release(held.lease));
  for (int i = 0; i < 2000; i++) push(3);
  uint64_t count = 0;
  for (RxBatch batch = source.receive(others, 64); batch.rx == Rx::kOk; batch = source.receive(others, 64)) {
    count += batch.count;
    CHECK(source.release(batch.lease));
  }
  CHECK(count > 1000);
  std::vector<Lease> leases;
  for (int i = 0; i < 100; i++) push(4);
  for (uint32_t i = 0; i < TapRing::kMostBatches; i++) leases.push_back(source.receive(block, 1).lease);
  CHECK(source.receive(block, 1).rx == Rx::kNoBuffer);
  for (const Lease lease : leases) CHECK(source.release(lease));
  const Stats stats = source.stats();
  CHECK(stats.received == 6100);
  CHECK(stats.received == stats.delivered + stats.dropped + stats.pending);
}
