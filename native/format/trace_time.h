// Packet times: nanoseconds from an epoch, as JS reads them.
#pragma once

#include <cstdint>

#include "core/desc.h"

namespace ringtap {

inline constexpr int64_t kSecond = 1'000'000'000;

/// kFlagTimeInexact when a double cannot hold these ns exactly, else 0. Without a branch.
constexpr uint32_t inexact_flag(int64_t ns) noexcept {
  constexpr uint64_t kExact = uint64_t{1} << 53;
  return uint32_t{static_cast<uint64_t>(ns) + kExact > 2 * kExact} * kFlagTimeInexact;
}

struct Stamp {
  double ns;
  uint32_t flags;
};

constexpr Stamp stamp_of(int64_t ns) noexcept { return {static_cast<double>(ns), inexact_flag(ns)}; }

}  // namespace ringtap
