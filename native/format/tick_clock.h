// The clock of a pcapng interface: 64-bit ticks of any resolution, made nanoseconds without overflow.
#pragma once

#include <cstdint>
#include <optional>

#include "core/desc.h"

namespace ringtap {

class TickClock {
 public:
  /// From if_tsresol and if_tsoffset. Nothing when a second has more ticks than 64 bits can count.
  static std::optional<TickClock> make(uint8_t resolution, int64_t offset_seconds) noexcept;

  /// The Unix second that a tick is in; 0 when it is beyond every calendar.
  int64_t second(uint64_t ticks) const noexcept;

  /// From here on times count from this Unix second, one that second() gave.
  void set_epoch(int64_t seconds) noexcept;

  /// Writes the time of a tick: time[i], and what goes with it.
  void stamp(uint64_t ticks, DescBlock& out, uint32_t i) const noexcept {
    // Ticks near the epoch are a subtraction and a multiplication away from nanoseconds.
    if (ticks - lowest_ < width_) [[likely]]
      return out.set_time(i, (static_cast<int64_t>(ticks) - epoch_ticks_) * ns_per_tick_);
    out.set_time(i, from_epoch(ticks));
  }

  /// ns since the epoch, exact whatever the tick, resolution and offset are.
  WideTime from_epoch(uint64_t ticks) const noexcept;

 private:
  uint64_t nanoseconds(uint64_t fraction) const noexcept;

  bool binary_ = false;
  uint8_t exponent_ = 6;
  uint64_t per_second_ = 1'000'000;
  int64_t offset_ = 0;
  int64_t epoch_ = 0;

  // The fast path of stamp(): ticks in [lowest_, lowest_ + width_); empty until an epoch is set.
  int64_t ns_per_tick_ = 0;
  int64_t epoch_ticks_ = 0;
  uint64_t lowest_ = 0;
  uint64_t width_ = 0;
};

}  // namespace ringtap
