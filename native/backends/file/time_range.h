// Which packets of a trace are wanted, by their time.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "core/desc.h"
#include "core/error.h"
#include "core/options.h"

namespace ringtap::file {

/// The whole number that is nearest to a time of a packet: those that 64 bits do not hold, before 1678 or after 2262,
/// are the first and the last ones.
inline int64_t key_of(double time, double rest, uint32_t flags) noexcept {
  constexpr double kFar = 9.2e18;
  if (!(time > -kFar)) return INT64_MIN;
  if (!(time < kFar)) return INT64_MAX;
  return static_cast<int64_t>(time) + ((flags & kFlagTimeInexact) != 0 ? static_cast<int64_t>(rest) : 0);
}

/// Unix times in ns, both included.
struct TimeRange {
  int64_t from = std::numeric_limits<int64_t>::min();
  int64_t to = std::numeric_limits<int64_t>::max();
};

/// A range as the options `from` and `to` say it: each bound may count from the first packet.
class AskedRange {
 public:
  static Result<AskedRange> of(const Options& options);

  bool is_any() const noexcept { return from_ || to_; }
  bool needs_first() const noexcept { return (from_ && from_->after_first) || (to_ && to_->after_first); }
  /// `first`: the time of the first packet, where it is known.
  Result<TimeRange> resolved(const std::string& target, std::optional<int64_t> first) const;

 private:
  struct Bound {
    int64_t ns = 0;
    bool after_first = false;
  };
  static std::optional<Bound> bound(const std::string& text);

  std::optional<Bound> from_;
  std::optional<Bound> to_;
};

}  // namespace ringtap::file
