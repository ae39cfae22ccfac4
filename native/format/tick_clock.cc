#include "format/tick_clock.h"

#include <algorithm>

#include "format/trace_time.h"

namespace ringtap {
namespace {

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

int64_t TickClock::second(uint64_t ticks) const noexcept {
  constexpr int64_t kFar = INT64_MAX / 2;
  const uint64_t seconds = ticks / per_second_;
  if (seconds > kFar || offset_ > kFar || offset_ < -kFar) return 0;
  const int64_t second = static_cast<int64_t>(seconds) + offset_;
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

/// In two halves of 32 bits: the seconds take up to 66 bits, and their nanoseconds 96.
WideTime TickClock::from_epoch(uint64_t ticks) const noexcept {
  const auto low = [](uint64_t v) { return static_cast<int64_t>(v & 0xffffffff); };
  const uint64_t seconds = ticks / per_second_;
  const int64_t high_seconds = static_cast<int64_t>(seconds >> 32) + (offset_ >> 32) - (epoch_ >> 32);
  const int64_t low_seconds = low(seconds) + low(static_cast<uint64_t>(offset_)) - low(static_cast<uint64_t>(epoch_));
  const int64_t ns = low_seconds * kSecond + static_cast<int64_t>(nanoseconds(ticks % per_second_));
  return {.high = high_seconds * kSecond + (ns >> 32), .low = static_cast<uint32_t>(ns)};
}

}  // namespace ringtap
