// Waiting that ends: for a lock that somebody else may hold for long.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

namespace ringtap::dpdk {

using Cancelled = std::shared_ptr<const std::atomic<bool>>;

inline bool is_set(const Cancelled& cancelled) noexcept {
  return cancelled != nullptr && cancelled->load(std::memory_order_relaxed);
}

/// The lock; not owned where it took too long, or nobody waits for it any more.
inline std::unique_lock<std::mutex> lock_within(std::mutex& mutex, std::chrono::milliseconds patience,
                                                const Cancelled& cancelled = {}) noexcept {
  constexpr std::chrono::milliseconds kPause(2);
  std::unique_lock lock(mutex, std::try_to_lock);
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!lock.owns_lock() && !is_set(cancelled) && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kPause);
    static_cast<void>(lock.try_lock());
  }
  return lock;
}

}  // namespace ringtap::dpdk
