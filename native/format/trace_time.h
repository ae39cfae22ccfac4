// Packet times, as trace formats count them.
#pragma once

#include <cstdint>

namespace ringtap {

inline constexpr int64_t kSecond = 1'000'000'000;

}  // namespace ringtap
