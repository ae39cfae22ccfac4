// When to look at an empty ring again.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ringtap {

/// A runtime wakes up at the price of thousands of packets. So under load the reader sleeps while packets gather: as
/// long as the rate that was measured needs for a worthwhile batch, but no longer than was promised, nor than a quarter
/// of the ring takes to fill. Without load there is nothing to gather.
class Gather {
 public:
  /// `most_ms`: the longest sleep. `quiet_ms`: the sleep without load. `room`: of the ring, in what took() counts.
  Gather(uint32_t most_ms, uint32_t quiet_ms, uint32_t room) noexcept
      : most_ms_(std::max(most_ms, quiet_ms)), quiet_ms_(quiet_ms), share_(room / 4), ms_(quiet_ms) {}

  /// Packets were taken, which had so much of the ring's room.
  void took(uint64_t packets, uint64_t room) noexcept {
    packets_ += packets;
    used_ += room;
  }

  /// The ring is empty at `now_us`: decides by what was taken since the last time. False when that was nothing.
  bool emptied(uint64_t now_us) noexcept {
    const uint64_t elapsed_us = std::max<uint64_t>(1, now_us - emptied_us_);
    emptied_us_ = now_us;
    const bool any = packets_ > 0;
    ms_ = quiet_ms_;
    if (packets_ * kLoadUs >= elapsed_us) {
      const uint64_t worth = elapsed_us * kWorthwhile / packets_;
      const uint64_t filled = elapsed_us * share_ / std::max<uint64_t>(1, used_);
      ms_ = static_cast<uint32_t>(std::min<uint64_t>(most_ms_, std::min(worth, filled) / 1000));
    }
    packets_ = used_ = 0;
    return any;
  }

  /// How long to sleep; 0 is not at all.
  uint32_t ms() const noexcept { return ms_; }

  /// Load is a packet each 100 µs.
  static constexpr uint64_t kLoadUs = 100;
  /// Packets beside which a wake-up costs next to nothing.
  static constexpr uint64_t kWorthwhile = 50'000;

 private:
  uint32_t most_ms_;
  uint32_t quiet_ms_;
  uint64_t share_;
  uint32_t ms_;
  uint64_t emptied_us_ = 0;
  uint64_t packets_ = 0;
  uint64_t used_ = 0;
};

}  // namespace ringtap
