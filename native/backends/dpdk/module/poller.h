// The thread that polls a port: the driver's packets into the ring, the reader's back to the driver.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
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
  Poller(const Port& port, std::shared_ptr<const PacketFilter> filter, PollSettings settings);
  ~Poller() { stop(); }

  Result<Ok> start();
  /// Ends the thread and takes every packet back. Idempotent.
  void stop() noexcept;

  PacketRing& ring() noexcept { return ring_; }
  /// Readable after sleep() once there is something.
  int wake_fd() const noexcept { return wake_.get(); }
  /// The reader has read everything up to `position`. False: more has come meanwhile.
  bool sleep(uint64_t position) noexcept;
  /// The reader is back after a sleep().
  void awake() noexcept;
  /// Why the thread has stopped by itself; null while it runs.
  const Error* failure() const noexcept { return failed_.load(std::memory_order_acquire) ? &failure_ : nullptr; }

  uint64_t filtered() const noexcept { return filtered_.load(std::memory_order_acquire); }
  uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_acquire); }

 private:
  static constexpr uint32_t kBurst = 64;

  void run() noexcept;
  uint32_t poll(uint16_t queue) noexcept;
  bool take(rte_mbuf* packet, Entry entry) noexcept;
  bool take_copy(rte_mbuf* packet, Entry entry) noexcept;
  void reclaim() noexcept;
  void wake() noexcept;
  bool port_is_gone() noexcept;

  const Port& port_;
  const std::shared_ptr<const PacketFilter> filter_;
  const PollSettings settings_;
  std::byte* const base_;
  rte_mempool* const pool_;
  PacketRing ring_;
  JoinedArea joined_;
  BurstClock clock_;
  UniqueFd wake_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<bool> sleeping_{false};
  std::atomic<bool> failed_{false};
  Error failure_;
  alignas(64) std::atomic<uint64_t> filtered_{0};
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace ringtap::dpdk
