#include "format/tick_clock.h"

#include <algorithm>

namespace ringtap {
namespace {

constexpr double kFarSeconds = 4e18;  // well inside an int64, rounding included
// Seconds whose nanoseconds, with a fraction added, fit an int64.
constexpr int64_t kExactSeconds = INT64_MAX / kSecond - 1;

constexpr uint64_t power_of_10(uint32_t exponent) noexcept {
  uint64_t value = 1;
  while (exponent-- > 0) value *= 10;
  return value;
}

}  // namespace

std::optional<TickClock> TickClock::make(uint8_t resolution, int64_t offset_seconds) noexcept {
  TickClock clock;
  clock.binary_ = (resolution & 0x80) != 0;
  clock.exponent_ = resolution & 0x7f;
  if (clock.exponent_ > (clock.binary_ ? 63 : 19)) return std::nullopt;
  clock.per_second_ = clock.binary_ ? uint64_t{1} << clock.exponent_ : power_of_10(clock.exponent_);
  clock.offset_ = offset_seconds;
  return clock;
}

/// seconds + offset - epoch, where 64 bits hold it, and else the farthest second of that direction.
int64_t TickClock::from_epoch(uint64_t seconds) const noexcept {
  const double about = static_cast<double>(seconds) + static_cast<double>(offset_) - static_cast<double>(epoch_);
  if (about > kFarSeconds) return INT64_MAX;
  if (about < -kFarSeconds) return INT64_MIN;
  // Modulo 2^64 the sum is right whatever overflowed on the way.
  return static_cast<int64_t>(seconds + static_cast<uint64_t>(offset_) - static_cast<uint64_t>(epoch_));
}

int64_t TickClock::second(uint64_t ticks) const noexcept {
  TickClock unix_clock = *this;
  unix_clock.epoch_ = 0;
  const int64_t second = unix_clock.from_epoch(ticks / per_second_);
  return second >= -kExactSeconds && second <= kExactSeconds ? second : 0;
}

void TickClock::set_epoch(int64_t seconds) noexcept {
  epoch_ = seconds;
  width_ = 0;
  if (binary_ || exponent_ > 9 || offset_ > kExactSeconds || offset_ < -kExactSeconds) return;
  const int64_t from_offset = seconds - offset_;
  const auto per_second = static_cast<int64_t>(per_second_);
  if (from_offset < 0 || from_offset > (int64_t{1} << 62) / per_second) return;
  ns_per_tick_ = kSecond / per_second;
  epoch_ticks_ = from_offset * per_second;
  // SAFETY of the arithmetic in stamp(): reach ticks either way, times ns_per_tick_, is at most 2^62,
  // and lowest_ + width_ is at most 2^63, so that no tick outside can wrap around into the range.
  const int64_t reach = (int64_t{1} << 62) / ns_per_tick_;
  lowest_ = static_cast<uint64_t>(std::max<int64_t>(0, epoch_ticks_ - reach));
  width_ = static_cast<uint64_t>(epoch_ticks_) + static_cast<uint64_t>(reach) - lowest_;
}

uint64_t TickClock::nanoseconds(uint64_t fraction) const noexcept {
  constexpr auto second = static_cast<uint64_t>(kSecond);
  if (!binary_) {
    return exponent_ <= 9 ? fraction * (second / per_second_) : fraction / (per_second_ / second);
  }
  // fraction * 10^9 takes up to 93 bits: multiplied in two halves, then shifted.
  const uint64_t low = (fraction & 0xffffffff) * second;
  if (exponent_ < 32) return low >> exponent_;
  const uint64_t high = (fraction >> 32) * second + (low >> 32);
  return high >> (exponent_ - 32);
}

Stamp TickClock::exact_stamp(uint64_t ticks) const noexcept {
  const int64_t seconds = from_epoch(ticks / per_second_);
  const uint64_t fraction = nanoseconds(ticks % per_second_);
  if (seconds > kExactSeconds || seconds < -kExactSeconds) {
    return {static_cast<double>(seconds) * kSecond + static_cast<double>(fraction), kFlagTimeInexact};
  }
  return stamp_of(seconds * kSecond + static_cast<int64_t>(fraction));
}

}  // namespace ringtap
