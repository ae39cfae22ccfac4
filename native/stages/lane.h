// The way of packets from the thread that deals them out to one reader, and back: two rings without locks.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/desc.h"
#include "stages/signal.h"

namespace ringtap {

/// A packet on its way. WHY not columns: they would be seven streams of writes for each reader.
struct LanePacket {
  double time = 0;
  uint32_t offset = 0;
  uint32_t caplen = 0;
  uint32_t wirelen = 0;
  uint32_t flags = 0;
  uint32_t hash = 0;
  uint16_t queue = 0;
  uint16_t vlan = 0;
};
static_assert(sizeof(LanePacket) == 32);

/// Packets of one batch of the source. Written by the dealing thread until it is sent, then read by the reader until it
/// comes back.
struct Cell {
  std::vector<LanePacket> packets;
  std::vector<double> rest;        // empty, or for each packet: times that a double does not hold
  std::vector<TunnelRow> tunnels;  // empty, or for each packet
  uint32_t count = 0;
  uint32_t segment = 0;
  uint32_t link_type = 0;
  uint32_t pin = 0;   // of the batch that its packets are in
  bool wide = false;  // rest is set
};

/// One writer and one reader. No index is written more often than once a cell. WHY in one order with all else: who
/// sleeps says so and looks once more, and who writes looks then whether somebody sleeps. One of the two sees the
/// other.
class CellRing {
 public:
  explicit CellRing(uint32_t least) {
    uint32_t size = 1;
    while (size < least) size *= 2;
    slots_.resize(size);
  }

  /// There is room: no more cells go round than there are.
  void push(uint32_t cell) noexcept {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    slots_[head & mask()] = cell;
    head_.store(head + 1);
  }
  bool empty() const noexcept { return tail_.load(std::memory_order_relaxed) == head_.load(); }
  size_t size() const noexcept { return head_.load() - tail_.load(); }
  std::optional<uint32_t> pop() noexcept {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load()) return std::nullopt;
    const uint32_t cell = slots_[tail & mask()];
    tail_.store(tail + 1, std::memory_order_release);
    return cell;
  }

 private:
  uint32_t mask() const noexcept { return static_cast<uint32_t>(slots_.size()) - 1; }

  // WHY apart: each is written by one thread, and would take the other's line from its cache.
  static constexpr size_t kApart = 128;
  alignas(kApart) std::atomic<uint32_t> head_{0};
  alignas(kApart) std::atomic<uint32_t> tail_{0};
  alignas(kApart) std::vector<uint32_t> slots_;
};

class Lane {
 public:
  Lane(uint32_t count, uint32_t packets, Signal ready, DescBlock::Tunnels tunnels)
      : cells(count), sent(count), returned(count), signal(std::move(ready)) {
    for (Cell& cell : cells) {
      cell.packets.resize(packets);
      if (tunnels == DescBlock::Tunnels::kTold) cell.tunnels.resize(packets);
    }
    for (uint32_t i = count; i-- > 0;) free.push_back(i);
  }

  /// The dealing thread: the reader may have it. One that sleeps is woken for several, or by wake(): to wake it costs
  /// as much as thousands of packets.
  void send(uint32_t cell) noexcept {
    sent.push(cell);
    if (++unheard_ >= kWorthwhile) wake();
  }
  void wake() noexcept {
    if (std::exchange(unheard_, 0) > 0 && sleeps.load() && sleeps.exchange(false)) signal.raise();
  }

  /// The reader: what was sent, or nothing, and then `signal` will be raised.
  std::optional<uint32_t> take() noexcept {
    if (const auto cell = sent.pop()) return cell;
    sleeps.store(true);
    signal.clear();
    const auto cell = sent.pop();
    if (cell) sleeps.store(false);
    return cell;
  }

  /// The reader: cells are back that are worth waking the dealing thread for, or it is about to have nothing.
  bool is_worth_waking() const noexcept { return returned.size() * 2 >= cells.size() || sent.empty(); }

  std::vector<Cell> cells;
  CellRing sent;
  CellRing returned;
  std::vector<uint32_t> free;  // of the dealing thread
  Signal signal;
  std::atomic<bool> sleeps{false};
  /// Nobody reads it any more.
  std::atomic<bool> closed{false};
  std::atomic<uint64_t> dealt{0};      // written by the dealing thread, as is
  std::atomic<uint64_t> dropped{0};    // … for want of a cell, or of a reader
  std::atomic<uint64_t> delivered{0};  // written by the reader, as is
  std::atomic<uint64_t> left{0};       // … what it had taken, and gave up
  std::atomic<uint64_t> delivered_bytes{0};

 private:
  static constexpr uint32_t kWorthwhile = 4;

  uint32_t unheard_ = 0;  // cells since the reader was woken last
};

}  // namespace ringtap
