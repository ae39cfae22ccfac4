// Unix time.
#pragma once

#include <chrono>
#include <cstdint>

namespace ringtap {

/// Nanoseconds since 1970.
inline int64_t unix_now_ns() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

/// Whole seconds since 1970.
inline int64_t unix_now_s() noexcept { return unix_now_ns() / 1'000'000'000; }

/// What the packet times of a capture count from that opens now: the second that it is, in nanoseconds since 1970.
inline int64_t epoch_now_ns() noexcept { return unix_now_s() * 1'000'000'000; }

}  // namespace ringtap
