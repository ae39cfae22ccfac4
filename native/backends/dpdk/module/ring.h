// Packets on their way from the polling thread to the reader, and back.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

struct rte_mbuf;

namespace ringtap::dpdk {

/// What the reader learns of a packet.
struct Entry {
  int64_t time_ns = 0;  // Unix time
  uint32_t offset = 0;  // in the region
  uint32_t length = 0;  // on the wire
  uint32_t keep = 0;    // bytes the filter keeps
  uint32_t hash = 0;
  uint16_t queue = 0;
  uint16_t flags = 0;
};

/// What the polling thread remembers of it: exactly one of the two is set.
struct Backing {
  rte_mbuf* mbuf = nullptr;
  uint32_t joined_bytes = 0;  // taken from the joined area, gaps included
};

/// One producer, one consumer. A packet is: written by the producer → read by the consumer → released by the consumer
/// → reclaimed by the producer, each in the ring's order.
class PacketRing {
 public:
  explicit PacketRing(uint32_t size) : mask_(size - 1), entries_(new Entry[size]), backing_(new Backing[size]) {}

  uint32_t size() const noexcept { return mask_ + 1; }

  // The producer's side.
  uint32_t room() const noexcept { return size() - static_cast<uint32_t>(next_ - reclaimed_); }
  void push(const Entry& entry, const Backing& backing) noexcept {
    entries_[next_ & mask_] = entry;
    backing_[next_ & mask_] = backing;
    next_++;
  }
  void publish() noexcept { written_.store(next_, std::memory_order_release); }
  uint32_t reclaimable() const noexcept {
    return static_cast<uint32_t>(released_.load(std::memory_order_acquire) - reclaimed_);
  }
  const Backing& reclaim() noexcept { return backing_[reclaimed_++ & mask_]; }
  bool holds_any() const noexcept { return reclaimed_ != next_; }
  /// Everything counts as released: the consumer is gone.
  void abandon() noexcept { released_.store(next_, std::memory_order_relaxed); }

  // The consumer's side. Positions count packets since the start.
  uint64_t written(std::memory_order order = std::memory_order_acquire) const noexcept { return written_.load(order); }
  const Entry& at(uint64_t position) const noexcept { return entries_[position & mask_]; }
  void release_to(uint64_t position) noexcept { released_.store(position, std::memory_order_release); }

 private:
  const uint32_t mask_;
  const std::unique_ptr<Entry[]> entries_;
  const std::unique_ptr<Backing[]> backing_;
  alignas(64) uint64_t next_ = 0;
  uint64_t reclaimed_ = 0;
  alignas(64) std::atomic<uint64_t> written_{0};
  alignas(64) std::atomic<uint64_t> released_{0};
};

}  // namespace ringtap::dpdk
