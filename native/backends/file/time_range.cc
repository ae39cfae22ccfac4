#include "backends/file/time_range.h"

#include <string>
#include <utility>

namespace ringtap::file {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr size_t kMostDigits = 10;

}  // namespace

/// [+-]SECONDS[.FRACTION], as TypeScript has written it. Nothing: it is none.
std::optional<AskedRange::Bound> AskedRange::bound(const std::string& text) {
  size_t at = 0;
  const bool is_negative = text.starts_with('-');
  const bool is_after_first = text.starts_with('+');
  if (is_negative || is_after_first) at++;
  const auto is_digit = [&text](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  int64_t seconds = 0;
  const size_t begin = at;
  for (; is_digit(at) && at - begin < kMostDigits; at++) seconds = seconds * 10 + (text[at] - '0');
  int64_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    at++;
    for (int64_t unit = kSecond / 10; is_digit(at) && unit > 0; at++, unit /= 10) fraction += (text[at] - '0') * unit;
  }
  constexpr int64_t kMostSeconds = std::numeric_limits<int64_t>::max() / kSecond;
  if (at == begin || at != text.size() || seconds >= kMostSeconds) return std::nullopt;
  const int64_t ns = seconds * kSecond + fraction;
  return Bound{.ns = is_negative ? -ns : ns, .after_first = is_after_first};
}

Result<AskedRange> AskedRange::of(const Options& options) {
  AskedRange range;
  for (auto [name, place] : {std::pair{"from", &range.from_}, std::pair{"to", &range.to_}}) {
    if (!options.has(name)) continue;
    *place = bound(options.text(name));
    if (!*place) return Error{.code = Code::kBadOption, .message = std::string("option ") + name + " is no time"};
  }
  return range;
}

Result<TimeRange> AskedRange::resolved(const std::string& target, std::optional<int64_t> first) const {
  TimeRange range;
  const auto at = [&first](const Bound& bound) {
    int64_t ns = bound.ns;
    if (bound.after_first && __builtin_add_overflow(first.value_or(0), bound.ns, &ns)) {
      ns = std::numeric_limits<int64_t>::max();
    }
    return ns;
  };
  if (from_) range.from = at(*from_);
  if (to_) range.to = at(*to_);
  if (range.from <= range.to) return range;
  return Error{.code = Code::kBadOption,
               .message = target + ": option from is after option to: no packet is in between",
               .hint = "Swap them. Where one is relative (+90s), it counts from the first packet of the trace."};
}

}  // namespace ringtap::file
