// The thread that polls a port: the driver's packets into the ring, the reader's back to the driver.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "backends/dpdk/module/clock.h"
#include "backends/dpdk/module/filter.h"
#include "backends/dpdk/module/joined.h"
#include "backends/dpdk/module/port.h"
#include "backends/dpdk/module/ring.h"
#include "core/unique_fd.h"

namespace ringtap::dpdk {

struct PollSettings {
  bool busy = false;
  int core = -1;
};

class Poller {
 public:
  Poller(const Port& port, std::shared_ptr<const MbufFilter> filter, PollSettings settings);
  ~Poller() { stop(); }

  Result<Ok> start();
  /// Ends the thread and takes every packet back. Idempotent.
  void stop() noexcept;

  PacketRing& ring() noexcept { return ring_; }
  /// Readable after sleep() once there is something.
  int wake_fd() const noexcept { return wake_.get(); }
  /// The reader has read everything. False: more has come meanwhile.
  bool sleep() noexcept;
  /// The reader is back after a sleep().
  void awake() noexcept;
  /// Why the thread has stopped by itself; null while it runs.
  const Error* failure() const noexcept { return failed_.load(std::memory_order_acquire) ? &failure_ : nullptr; }

  uint64_t filtered() const noexcept { return filtered_.load(std::memory_order_acquire); }
  uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_acquire); }

 private:
  static constexpr uint32_t kBurst = 64;
  static constexpr uint64_t kAwake = UINT64_MAX;

  void run() noexcept;
  uint32_t poll(uint16_t queue) noexcept;
  bool plain(std::span<rte_mbuf* const> burst) const noexcept;
  void take_each(std::span<rte_mbuf*> burst, const Burst& common) noexcept;
  bool lendable(const rte_mbuf* packet) const noexcept;
  size_t place(const rte_mbuf* packet) const noexcept;
  bool take(rte_mbuf* packet, Extra& extra) noexcept;
  void reclaim() noexcept;
  void reclaim_shared(rte_mbuf* const* packet) noexcept;
  void wake() noexcept;
  bool port_is_gone() noexcept;

  const Port& port_;
  const std::shared_ptr<const MbufFilter> filter_;
  const PollSettings settings_;
  std::byte* const base_;
  rte_mempool* const pool_;
  PacketRing ring_;
  JoinedArea joined_;
  BurstClock clock_;
  const uint64_t own_flags_;  // bits of ol_flags of packets with a hash or a time of their own
  UniqueFd wake_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<uint64_t> slept_at_{kAwake};  // where in the ring the reader went to sleep
  std::atomic<bool> failed_{false};
  Error failure_;
  alignas(64) std::atomic<uint64_t> filtered_{0};
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace ringtap::dpdk
