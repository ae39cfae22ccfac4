#include "stages/distributor.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/byte_order.h"
#include "core/thread.h"
#include "decode/share_hash.h"
#include "stages/lane.h"

namespace ringtap {

namespace {

constexpr uint32_t kMostInBatch = 4096;
constexpr uint32_t kFewestCells = 4;
constexpr uint32_t kMostCells = 64;
/// How long the thread sleeps at most before it looks for what came back, or whether it is to stop.
constexpr int kLookMs = 20;
/// Packets whose headers are asked for before their turn.
constexpr uint32_t kAhead = 8;

enum class End : uint8_t { kNone, kEof, kError };

void add(std::atomic<uint64_t>& counter, uint64_t more) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

uint64_t get(const std::atomic<uint64_t>& counter) noexcept { return counter.load(std::memory_order_relaxed); }

/// A trace waits for whoever reads it. What comes by itself does not.
bool waits_for_readers(const Source& source) {
  const std::string& mode = source.info().mode;
  return source.readiness().kind == Readiness::Kind::kAlways || mode == "read" || mode == "stream";
}

/// The thread, and what it shares with the readers.
class Dealer {
 public:
  Dealer(std::unique_ptr<Source> source, const DistributorSetup& setup, Signal wake)
      : hash_(setup.sharing.hash),
        batch_size_(setup.batch_size),
        most_(std::clamp(setup.batch_size * setup.sharing.shares, setup.batch_size,
                         std::max(kMostInBatch, setup.batch_size))),
        waits_(waits_for_readers(*source)),
        hasher_(setup.sharing.hash),
        wake_(std::move(wake)),
        source_(std::move(source)),
        segments_(source_->info().segments) {}
  ~Dealer() { stop(); }

  const SourceInfo& info() const noexcept { return source_->info(); }
  DescBlock::Tunnels tunnels() const noexcept {
    return source_->info().tunnels ? DescBlock::Tunnels::kTold : DescBlock::Tunnels::kNone;
  }

  Result<Ok> add_lanes(uint32_t shares) {
    // WHY so many: however long readers keep what they have, the source has memory to receive into.
    const uint32_t cells = std::clamp(info().max_leases / shares, kFewestCells, kMostCells);
    for (uint32_t i = 0; i < shares; i++) {
      auto signal = Signal::make();
      if (!signal) return std::move(signal).error();
      lanes_.push_back(std::make_unique<Lane>(cells, batch_size_, *std::move(signal), tunnels()));
      filling_.push_back(kNone);
    }
    return Ok{};
  }
  Lane& lane(uint32_t share) noexcept { return *lanes_[share]; }

  /// A reader is ready. With the last one it begins.
  Result<Ok> start_one() {
    const std::scoped_lock lock(mutex_);
    if (++started_ < lanes_.size()) return Ok{};
    if (auto started = source_->start(); !started) return started;
    auto thread = start_thread([this] { run(); });
    if (!thread) return std::move(thread).error();
    thread_ = *std::move(thread);
    return Ok{};
  }

  /// A reader has ended. With the last one all does.
  void end_one() noexcept {
    bool last = false;
    {
      const std::scoped_lock lock(mutex_);
      last = ++ended_readers_ == lanes_.size();
    }
    if (last) stop();
    wake_.raise();
  }

  /// A reader has given something back.
  void came_back() noexcept {
    if (awaits_.load() && awaits_.exchange(false)) wake_.raise();
  }

  End end() const noexcept { return end_.load(std::memory_order_acquire); }
  /// Why it ended in an error.
  const Error& error() const noexcept { return error_; }

  std::optional<Error> take_notice() {
    if (!noticed_.load(std::memory_order_relaxed)) return std::nullopt;
    const std::scoped_lock lock(mutex_);
    noticed_.store(false, std::memory_order_relaxed);
    return std::exchange(notice_, std::nullopt);
  }

  void add_segments(std::vector<Segment>& known) {
    const std::scoped_lock lock(mutex_);
    known.insert(known.end(), segments_.begin() + static_cast<ptrdiff_t>(known.size()), segments_.end());
  }

  Stats stats() {
    const std::scoped_lock lock(source_mutex_);
    return source_->stats();
  }
  uint64_t orphans() const noexcept { return get(orphans_); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  /// A batch of the source, and how many cells have packets of it.
  struct Pin {
    Lease lease = 0;
    uint32_t cells = 0;
  };

  void stop() noexcept {
    stopping_.store(true);
    wake_.raise();
    if (thread_.joinable()) thread_.join();
    const std::scoped_lock lock(source_mutex_);
    source_->close();
  }
  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

  void run() noexcept {
    block_signals();
    DescBlock block(most_, tunnels());
    while (!stopping()) {
      take_back();
      const RxBatch batch = receive(block);
      switch (batch.rx) {
        case Rx::kOk:
          deal(batch, block);
          break;
        case Rx::kAgain:
          wake_all();
          wait_for_packets();
          break;
        case Rx::kNoBuffer:
          wake_all();
          wait_for_cells();
          break;
        case Rx::kNotice:
          notice();
          break;
        case Rx::kEof:
          return finish(End::kEof);
        case Rx::kError:
          error_ = source_->error();
          return finish(End::kError);
      }
    }
  }

  RxBatch receive(DescBlock& block) noexcept {
    const std::scoped_lock lock(source_mutex_);
    const RxBatch batch = source_->receive(block, most_);
    if (batch.rx == Rx::kOk && batch.segment >= segments_.size()) {
      const std::scoped_lock known(mutex_);
      segments_ = source_->info().segments;
    }
    return batch;
  }

  void notice() {
    const std::scoped_lock lock(mutex_);
    notice_ = source_->error();
    noticed_.store(true, std::memory_order_relaxed);
  }

  void finish(End end) noexcept {
    end_.store(end, std::memory_order_release);
    for (const auto& lane : lanes_) {
      lane->sleeps.store(false);
      lane->signal.raise();
    }
    // What comes back later is released nowhere: the source is at its end.
  }

  void deal(const RxBatch& batch, const DescBlock& block) noexcept {
    const uint32_t pin = pin_of(batch.lease);
    const Segment& segment = segments_[batch.segment];
    if (hash_ == ShareHash::kBalanced) turn_++;
    for (uint32_t i = 0; i < batch.count; i++) {
      // From the cache of whoever has written the packet.
      if (i + kAhead < batch.count) prefetch(segment.base + block.offset[i + kAhead]);
      const uint32_t share = share_of(block, i, segment, batch.link_type);
      Cell* cell = cell_for(share, batch, pin);
      if (cell == nullptr) {
        if (stopping()) break;
        add(lanes_[share]->dealt, 1);
        add(lanes_[share]->dropped, 1);
        continue;
      }
      put(*cell, block, i);
      if (cell->count == batch_size_) send(share);
    }
    for (uint32_t share = 0; share < lanes_.size(); share++) {
      if (filling_[share] != kNone) send(share);
    }
    if (hasher_.orphans() != orphans_.load(std::memory_order_relaxed)) {
      orphans_.store(hasher_.orphans(), std::memory_order_relaxed);
    }
    unpin(pin);
  }

  uint32_t share_of(const DescBlock& block, uint32_t i, const Segment& segment, uint32_t link_type) noexcept {
    const auto shares = static_cast<uint32_t>(lanes_.size());
    if (hash_ == ShareHash::kBalanced) return turn_ % shares;
    const uint32_t offset = block.offset[i];
    const uint32_t caplen = block.caplen[i];
    // SAFETY: the block is ours alone and the source's descriptors lie in its segment; packets are read with checks.
    return hasher_.hash({.data = segment.base + offset, .size = caplen}, link_type) % shares;
  }

  /// What packets of that share go into. Null: it has no room, or nobody.
  Cell* cell_for(uint32_t share, const RxBatch& batch, uint32_t pin) noexcept {
    if (filling_[share] == kNone) [[unlikely]]
      return begin_cell(share, batch, pin);
    return &lanes_[share]->cells[filling_[share]];
  }

  Cell* begin_cell(uint32_t share, const RxBatch& batch, uint32_t pin) noexcept {
    Lane& lane = *lanes_[share];
    if (lane.closed.load(std::memory_order_acquire)) return nullptr;
    if (lane.free.empty()) take_back();
    while (waits_ && lane.free.empty() && !stopping() && !lane.closed.load(std::memory_order_acquire)) {
      send_all();
      wake_all();
      wait_for_cells();
      take_back();
    }
    if (lane.free.empty() || lane.closed.load(std::memory_order_acquire)) return nullptr;
    filling_[share] = lane.free.back();
    lane.free.pop_back();
    Cell& cell = lane.cells[filling_[share]];
    cell.count = 0;
    cell.wide = false;
    cell.segment = batch.segment;
    cell.link_type = batch.link_type;
    cell.pin = pin;
    pins_[pin].cells++;
    return &cell;
  }

  static void put(Cell& cell, const DescBlock& block, uint32_t i) noexcept {
    const uint32_t at = cell.count++;
    cell.packets[at] = {.time = block.time[i],
                        .offset = block.offset[i],
                        .caplen = block.caplen[i],
                        .wirelen = block.wirelen[i],
                        .flags = block.flags[i],
                        .hash = block.hash[i],
                        .queue = block.queue[i],
                        .vlan = block.vlan[i]};
    if ((block.flags[i] & kFlagTimeInexact) != 0) [[unlikely]] {
      if (cell.rest.empty()) cell.rest.resize(cell.packets.size());
      cell.rest[at] = block.rest[i];
      cell.wide = true;
    }
    if (block.tunnel != nullptr) cell.tunnels[at] = block.tunnel[i];
  }

  void send(uint32_t share) noexcept {
    Lane& lane = *lanes_[share];
    const uint32_t cell = std::exchange(filling_[share], kNone);
    add(lane.dealt, lane.cells[cell].count);
    lane.send(cell);
  }
  void wake_all() noexcept {
    for (const auto& lane : lanes_) lane->wake();
  }
  void send_all() noexcept {
    for (uint32_t share = 0; share < lanes_.size(); share++) {
      if (filling_[share] != kNone && lanes_[share]->cells[filling_[share]].count > 0) send(share);
    }
  }

  /// It is held once more until all of it is dealt out.
  uint32_t pin_of(Lease lease) noexcept {
    if (free_pins_.empty()) {
      free_pins_.push_back(static_cast<uint32_t>(pins_.size()));
      pins_.emplace_back();
    }
    const uint32_t pin = free_pins_.back();
    free_pins_.pop_back();
    pins_[pin] = {.lease = lease, .cells = 1};
    return pin;
  }
  void unpin(uint32_t pin) noexcept {
    if (--pins_[pin].cells > 0) return;
    const std::scoped_lock lock(source_mutex_);
    source_->release(pins_[pin].lease);
    free_pins_.push_back(pin);
  }

  void take_back() noexcept {
    for (const auto& lane : lanes_) {
      const auto free = [&](uint32_t cell) {
        unpin(lane->cells[cell].pin);
        lane->free.push_back(cell);
      };
      while (const auto cell = lane->returned.pop()) free(*cell);
      if (!lane->closed.load(std::memory_order_acquire)) continue;
      while (const auto cell = lane->sent.pop()) {
        add(lane->dropped, lane->cells[*cell].count);
        free(*cell);
      }
    }
  }

  void wait_for_cells() noexcept {
    awaits_.store(true);
    bool any = stopping();
    for (const auto& lane : lanes_) any |= !lane->returned.empty();
    if (!any) {
      pollfd request{wake_.fd(), POLLIN, 0};
      poll(&request, 1, kLookMs);
    }
    awaits_.store(false);
    wake_.clear();
  }

  void wait_for_packets() noexcept {
    const Readiness readiness = source_->readiness();
    // WHY: many small batches use up the cells of readers that are busy anyway.
    const bool busy = std::none_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->sleeps.load(); });
    const uint32_t nap = std::max({readiness.gather_ms, readiness.again_ms, busy ? 1u : 0u});
    pollfd requests[] = {{wake_.fd(), POLLIN, 0}, {readiness.fd, POLLIN, 0}};
    if (nap > 0) {
      poll(requests, 1, static_cast<int>(nap));
    } else if (readiness.kind == Readiness::Kind::kFd) {
      poll(requests, 2, kLookMs);
    } else if (readiness.kind == Readiness::Kind::kPoll) {
      const auto least = std::chrono::microseconds(1);
      auto sleep = least;
      for (int i = 0; i < 200 && !stopping() && !source_->pending(); i++) {
        std::this_thread::sleep_for(sleep);
        sleep = std::min(sleep * 2, std::chrono::microseconds(readiness.max_sleep_us));
      }
    }
    wake_.clear();
  }

  const ShareHash hash_;
  const uint32_t batch_size_;
  const uint32_t most_;
  const bool waits_;  // for the slowest
  decode::ShareHasher hasher_;
  const Signal wake_;
  std::mutex source_mutex_;  // guards calls of the source
  std::unique_ptr<Source> source_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<bool> awaits_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> noticed_{false};
  std::atomic<End> end_{End::kNone};
  std::atomic<uint64_t> orphans_{0};
  Error error_;  // written before end_

  std::mutex mutex_;  // guards what follows, and what is written of segments_
  size_t started_ = 0;
  size_t ended_readers_ = 0;
  std::optional<Error> notice_;
  std::vector<Segment> segments_;

  // Of the thread alone.
  std::vector<uint32_t> filling_;  // the cell that each share's packets go into
  std::vector<Pin> pins_;
  std::vector<uint32_t> free_pins_;
  uint32_t turn_ = 0;
  std::thread thread_;
};

/// What one reader reads.
class Outlet final : public Source {
 public:
  Outlet(std::shared_ptr<Dealer> dealer, uint32_t share)
      : dealer_(std::move(dealer)),
        share_(share),
        lane_(dealer_->lane(share)),
        info_(dealer_->info()),
        leases_(static_cast<uint32_t>(lane_.cells.size())),
        parts_(lane_.cells.size()) {
    info_.max_leases = leases_.capacity();
    info_.origins = false;
  }
  ~Outlet() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter>) override {
    return Error{.code = Code::kInternal, .message = "packets are filtered before they are dealt out"};
  }
  Result<Ok> start() override { return dealer_->start_one(); }

  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    if (closed_) return {.rx = Rx::kEof};
    if (leases_.full()) return {.rx = Rx::kNoBuffer};
    if (share_ == 0) {
      if (auto notice = dealer_->take_notice()) {
        error_ = *std::move(notice);
        return {.rx = Rx::kNotice};
      }
    }
    if (!open_) {
      // WHY before: what was sent before the end is there when the end is.
      const End end = dealer_->end();
      open_ = lane_.take();
      at_ = 0;
      if (!open_) return ended(end);
      parts_[*open_] = 1;
    }
    return lend(block, max);
  }

  bool release(Lease lease) noexcept override {
    const auto cell = leases_.release(lease);
    if (!cell) return false;
    let_go(*cell);
    return true;
  }

  Readiness readiness() const noexcept override {
    return {.kind = Readiness::Kind::kFd, .fd = lane_.signal.fd(), .owned = true};
  }

  Stats stats() const noexcept override {
    Stats stats;
    // In this order: what is counted later is no less.
    stats.delivered = get(lane_.delivered);
    stats.delivered_bytes = get(lane_.delivered_bytes);
    stats.dropped = get(lane_.dropped) + get(lane_.left);
    stats.received = std::max(get(lane_.dealt), stats.delivered + stats.dropped);
    stats.pending = stats.received - stats.delivered - stats.dropped;
    stats.drops = {{"ring", stats.dropped}};
    return stats;
  }

  const Error& error() const noexcept override { return error_; }

  void close() noexcept override {
    if (std::exchange(closed_, true)) return;
    if (open_) {
      add(lane_.left, lane_.cells[*open_].count - at_);
      let_go(*std::exchange(open_, std::nullopt));
    }
    lane_.closed.store(true, std::memory_order_release);
    dealer_->end_one();
  }

 private:
  RxBatch ended(End end) noexcept {
    if (end == End::kNone) return {.rx = Rx::kAgain};
    if (end == End::kEof) return {.rx = Rx::kEof};
    error_ = dealer_->error();
    return {.rx = Rx::kError};
  }

  RxBatch lend(DescBlock& block, uint32_t max) noexcept {
    const Cell& cell = lane_.cells[*open_];
    if (cell.segment >= info_.segments.size()) dealer_->add_segments(info_.segments);
    const uint32_t count = std::min({cell.count - at_, max, block.capacity()});
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
      const LanePacket& packet = cell.packets[at_ + i];
      block.time[i] = packet.time;
      block.offset[i] = packet.offset;
      block.caplen[i] = packet.caplen;
      block.wirelen[i] = packet.wirelen;
      block.flags[i] = packet.flags;
      block.hash[i] = packet.hash;
      block.queue[i] = packet.queue;
      block.vlan[i] = packet.vlan;
      bytes += packet.wirelen;
    }
    for (uint32_t i = 0; cell.wide && i < count; i++) block.rest[i] = cell.rest[at_ + i];
    for (uint32_t i = 0; block.tunnel != nullptr && i < count; i++) block.tunnel[i] = cell.tunnels[at_ + i];
    at_ += count;
    const uint32_t number = *open_;
    parts_[number]++;
    if (at_ == cell.count) {
      open_.reset();
      parts_[number]--;
    }
    add(lane_.delivered, count);
    add(lane_.delivered_bytes, bytes);
    return {.rx = Rx::kOk,
            .count = count,
            .segment = cell.segment,
            .link_type = cell.link_type,
            .lease = *leases_.acquire(number)};
  }

  void let_go(uint32_t cell) noexcept {
    if (--parts_[cell] > 0) return;
    lane_.returned.push(cell);
    if (lane_.is_worth_waking()) dealer_->came_back();
  }

  std::shared_ptr<Dealer> dealer_;
  const uint32_t share_;
  Lane& lane_;
  SourceInfo info_;
  LeaseTable leases_;
  std::vector<uint32_t> parts_;  // of each cell: how many batches of it are lent, and one while it is not used up
  std::optional<uint32_t> open_;
  uint32_t at_ = 0;
  bool closed_ = false;
  Error error_;
};

}  // namespace

Result<Shares> distribute(std::unique_ptr<Source> source, const DistributorSetup& setup) {
  auto wake = Signal::make();
  if (!wake) return std::move(wake).error();
  auto dealer = std::make_shared<Dealer>(std::move(source), setup, *std::move(wake));
  if (auto added = dealer->add_lanes(setup.sharing.shares); !added) return std::move(added).error();
  Shares shares;
  for (uint32_t i = 0; i < setup.sharing.shares; i++) shares.sources.push_back(std::make_unique<Outlet>(dealer, i));
  shares.method = "distributor";
  shares.hash = setup.sharing.hash;
  if (share_hash::uses_ports(setup.sharing.hash)) shares.orphans = [dealer] { return dealer->orphans(); };
  shares.before = [dealer] { return dealer->stats(); };
  return shares;
}

}  // namespace ringtap
