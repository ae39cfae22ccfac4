// How late frames went out, as a histogram whose steps are a 32nd of the value.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace ringtap::replay {

class Lateness {
 public:
  void add(int64_t ns, uint64_t frames) noexcept {
    const uint64_t late = ns > 0 ? static_cast<uint64_t>(ns) : 0;
    counts_[index_of(late)] += frames;
    frames_ += frames;
    if (late > most_) most_ = late;
  }

  /// In ns: so late or less was this part of the frames.
  uint64_t percentile(double part) const noexcept {
    const auto wanted = static_cast<uint64_t>(static_cast<double>(frames_) * part);
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); i++) {
      seen += counts_[i];
      if (seen > wanted) return value_of(i) < most_ ? value_of(i) : most_;
    }
    return most_;
  }
  uint64_t most() const noexcept { return most_; }
  uint64_t frames() const noexcept { return frames_; }

 private:
  static constexpr uint32_t kSteps = 32;

  static size_t index_of(uint64_t ns) noexcept {
    if (ns < kSteps) return ns;
    const auto power = static_cast<uint32_t>(std::bit_width(ns)) - 6;  // of the step
    return size_t{power + 1} * kSteps + ((ns >> power) - kSteps);
  }
  static uint64_t value_of(size_t index) noexcept {
    if (index < kSteps) return index;
    const size_t power = index / kSteps - 1;
    return (uint64_t{kSteps} + index % kSteps) << power;
  }

  std::array<uint64_t, size_t{60} * kSteps> counts_{};
  uint64_t frames_ = 0;
  uint64_t most_ = 0;
};

}  // namespace ringtap::replay
