// Times that JS gives.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>

#include "addon/convert.h"

namespace ringtap::addon {

/// ns since 1970 of whole seconds and the rest; what is no number is 0.
inline int64_t to_ns(const Napi::Value& seconds, const Napi::Value& nanos) {
  constexpr double kMostSeconds = 2.3e9;
  const double whole_seconds = std::clamp(number(seconds), -kMostSeconds, kMostSeconds);
  const double rest = std::clamp(number(nanos), -1e9, 1e9);
  return (whole_seconds == whole_seconds ? static_cast<int64_t>(whole_seconds) : 0) * 1'000'000'000 +
         (rest == rest ? static_cast<int64_t>(rest) : 0);
}

}  // namespace ringtap::addon
