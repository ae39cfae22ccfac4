// Packets on their way from the polling thread to the reader, and back.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

struct rte_mbuf;

namespace ringtap::dpdk {

// WHY so little: every line that the producer writes must come from the reader's core and go back there, which costs
// more than anything else that is done with a packet. So what a burst has in common is said once.

struct Packet {
  uint32_t offset;  // in the region
  uint32_t length;  // on the wire
};

/// What only some bursts need to say of each packet.
struct Extra {
  int64_t time_ns;  // Unix time
  uint32_t keep;    // bytes the filter keeps
  uint32_t hash;
  uint32_t flags;
};

struct Burst {
  int64_t time_ns;  // Unix time, unless there are extras
  uint16_t queue;
};

/// One producer, one consumer. A packet is: pushed and published by the producer → read by the consumer → released by
/// the consumer → reclaimed by the producer, each in the ring's order.
class PacketRing {
 public:
  explicit PacketRing(uint32_t size)
      : mask_(size - 1),
        packets_(new Packet[size]),
        extras_(new Extra[size]),
        bursts_(new Published[size]),
        mbufs_(new rte_mbuf*[size]),
        joined_bytes_(new uint32_t[size]),
        passed_on_(new bool[size]()) {}

  uint32_t size() const noexcept { return mask_ + 1; }

  // The producer's side.
  uint32_t room() const noexcept { return size() - static_cast<uint32_t>(next_ - reclaimed_); }
  void push(Packet packet, rte_mbuf* mbuf) noexcept {
    packets_[next_ & mask_] = packet;
    mbufs_[next_ & mask_] = mbuf;
    next_++;
  }
  /// A packet that lies in `joined_bytes` of the joined area.
  void push_joined(Packet packet, uint32_t joined_bytes) noexcept {
    joined_bytes_[next_ & mask_] = joined_bytes;
    push(packet, nullptr);
  }
  /// All that was pushed since the last time, one packet or more, is a burst. `extras`: of each packet, or none.
  void publish(const Burst& burst, std::span<const Extra> extras) noexcept {
    for (size_t i = 0; i < extras.size(); i++) extras_[(next_ - extras.size() + i) & mask_] = extras[i];
    bursts_[next_burst_++ & mask_] = {next_, burst, !extras.empty()};
    written_.store(next_, std::memory_order_release);
  }
  uint64_t published() const noexcept { return next_; }
  uint32_t reclaimable() const noexcept {
    return static_cast<uint32_t>(released_.load(std::memory_order_acquire) - reclaimed_);
  }
  /// Up to `most` packets that come back, as they lie next to each other; null for one that was joined.
  std::span<rte_mbuf* const> reclaim(uint32_t most) noexcept {
    const uint32_t from = static_cast<uint32_t>(reclaimed_) & mask_;
    const uint32_t count = std::min(most, size() - from);
    reclaimed_ += count;
    return {&mbufs_[from], count};
  }
  /// Of a packet that reclaim() gave.
  uint32_t joined_bytes(rte_mbuf* const* packet) const noexcept { return joined_bytes_[packet - mbufs_.get()]; }
  /// Some of what comes back was passed on.
  bool has_passed_on() const noexcept { return passed_.load(std::memory_order_relaxed) != retrieved_; }
  /// Whether this one was, of a packet that reclaim() gave. It is asked once.
  bool retrieve(rte_mbuf* const* packet) noexcept {
    const bool passed = std::exchange(passed_on_[packet - mbufs_.get()], false);
    retrieved_ += passed;
    return passed;
  }
  bool holds_any() const noexcept { return reclaimed_ != next_; }
  /// Everything counts as released: the consumer is gone.
  void abandon() noexcept { released_.store(next_, std::memory_order_relaxed); }

  // The consumer's side. Positions count packets since the start.
  uint64_t written() const noexcept { return written_.load(std::memory_order_acquire); }
  uint64_t unread() const noexcept { return written() - position_; }
  uint64_t position() const noexcept { return position_; }

  /// Packets of one burst.
  struct Run {
    Burst burst;
    std::span<const Packet> packets;
    std::span<const Extra> extras;  // of each packet, or none
  };
  /// The next `most` packets, at most what was written, or those of them that lie next to each other.
  Run read(uint32_t most) noexcept {
    const Published& burst = bursts_[burst_ & mask_];
    const uint32_t from = static_cast<uint32_t>(position_) & mask_;
    const auto count = static_cast<uint32_t>(std::min<uint64_t>({most, size() - from, burst.end - position_}));
    position_ += count;
    if (position_ == burst.end) burst_++;
    return {burst.burst, {&packets_[from], count}, {&extras_[from], burst.extras ? count : 0}};
  }
  /// Of a packet that was read and is not released: where it lies …
  const Packet& packet(uint64_t position) const noexcept { return packets_[position & mask_]; }
  /// … and whose it is; null for one that was joined, or passed on.
  rte_mbuf* owner(uint64_t position) const noexcept {
    return passed_on_[position & mask_] ? nullptr : mbufs_[position & mask_];
  }
  /// Its memory has another owner besides, and goes back to the pool with the last of them.
  void pass_on(uint64_t position) noexcept {
    passed_on_[position & mask_] = true;
    passed_.store(passed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void release_to(uint64_t position) noexcept { released_.store(position, std::memory_order_release); }

 private:
  struct Published {
    uint64_t end;
    Burst burst;
    bool extras;
  };

  const uint32_t mask_;
  const std::unique_ptr<Packet[]> packets_;
  const std::unique_ptr<Extra[]> extras_;
  const std::unique_ptr<Published[]> bursts_;
  const std::unique_ptr<rte_mbuf*[]> mbufs_;
  const std::unique_ptr<uint32_t[]> joined_bytes_;
  const std::unique_ptr<bool[]> passed_on_;  // handed over with the packets: by publish() and release_to()
  uint32_t retrieved_ = 0;
  alignas(64) uint64_t next_ = 0;
  uint64_t next_burst_ = 0;
  uint64_t reclaimed_ = 0;
  alignas(64) std::atomic<uint64_t> written_{0};
  alignas(64) std::atomic<uint64_t> released_{0};
  alignas(64) uint64_t position_ = 0;
  uint64_t burst_ = 0;
  std::atomic<uint32_t> passed_{0};
};

}  // namespace ringtap::dpdk
