#include "io/file_names.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <string_view>

#include "core/trace_names.h"

namespace ringtap {
namespace {

constexpr std::string_view kConversions = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%";

/// Where the suffix of a path begins: `.pcap`, `.pcap.zst`; at its end where it has none.
size_t suffix_of(std::string_view path) {
  const size_t folder = path.find_last_of('/');
  const size_t first = folder == std::string_view::npos ? 0 : folder + 1;
  const auto dot_before = [&](size_t end) {
    const size_t dot = path.substr(0, end).find_last_of('.');
    return dot == std::string_view::npos || dot <= first ? std::string_view::npos : dot;
  };
  const size_t dot = dot_before(path.size());
  if (dot == std::string_view::npos) return path.size();
  for (const std::string_view compressed : kCompressedSuffixes) {
    if (path.substr(dot) != compressed) continue;
    const size_t before = dot_before(dot);
    return before == std::string_view::npos ? dot : before;
  }
  return dot;
}

bool has_conversions(std::string_view pattern) {
  for (size_t i = 0; i + 1 < pattern.size(); i++) {
    if (pattern[i] == '%' && pattern[++i] != '%') return true;
  }
  return false;
}

std::string numbered(uint64_t number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "_%05llu", static_cast<unsigned long long>(number));
  return text.data();
}

std::string formatted(const std::string& pattern, int64_t unix_s, bool local) {
  const auto seconds = static_cast<std::time_t>(unix_s);
  std::tm when{};
#ifdef _WIN32
  if ((local ? localtime_s(&when, &seconds) : gmtime_s(&when, &seconds)) != 0) return pattern;
#else
  if ((local ? localtime_r(&seconds, &when) : gmtime_r(&seconds, &when)) == nullptr) return pattern;
#endif
  std::string text(pattern.size() * 16 + 64, '\0');
  text.resize(std::strftime(text.data(), text.size(), pattern.c_str(), &when));
  return text;
}

Error bad_pattern(const std::string& pattern, const std::string& what, std::string hint) {
  return Error{.code = Code::kBadOption, .message = pattern + ": " + what, .hint = std::move(hint)};
}

}  // namespace

FileNames::FileNames(const std::string& pattern, bool many)
    : suffix_(pattern.substr(suffix_of(pattern))), original_(pattern), timed_(has_conversions(pattern)) {
  numbered_ = many || !timed_;
  pattern_ = pattern;
  if (!numbered_) return;
  // Where number and time stand. A NUL ends no std::string, and stands in no path.
  pattern_.resize(pattern.size() - suffix_.size());
  if (!timed_) suffix_ = "_%Y%m%d%H%M%S" + suffix_;
}

std::string FileNames::name(int64_t unix_s, uint64_t number, bool local) const {
  if (!numbered_) return formatted(pattern_, unix_s, local);
  return formatted(pattern_, unix_s, local) + ringtap::numbered(number) + formatted(suffix_, unix_s, local);
}

std::string FileNames::another(const std::string& name, uint64_t number) const {
  const size_t suffix = suffix_of(name);
  return name.substr(0, suffix) + ringtap::numbered(number) + name.substr(suffix);
}

std::optional<Error> FileNames::check(int64_t period_s, int64_t kept_s, bool overwrite) const {
  for (size_t i = 0; i < original_.size(); i++) {
    if (original_[i] != '%') continue;
    i++;
    if (i < original_.size() && kConversions.find(original_[i]) != std::string_view::npos) continue;
    return bad_pattern(original_, "\"%" + original_.substr(i, 1) + "\" is no conversion of strftime(3)",
                       "Write %% for a percent sign.");
  }
  if (numbered_) return std::nullopt;
  // In UTC, so that no hour comes twice: in local time that is seldom, and told apart when it happens.
  constexpr int64_t kBegin = 1'767'225'600;  // 2026-01-01
  constexpr int64_t kSteps = 4000;           // any remainder of an hour and a second less comes round
  for (int64_t i = 0; period_s > 0 && i < kSteps; i++) {
    const std::string name = this->name(kBegin + i * period_s, 0, false);
    if (name != this->name(kBegin + (i + 1) * period_s, 0, false)) continue;
    return bad_pattern(original_,
                       "two files that begin " + std::to_string(period_s) + " s apart are both called " + name,
                       "Name smaller units of the time in it, such as %H%M%S, or none: then files are numbered.");
  }
  if (overwrite) return std::nullopt;
  constexpr int64_t kDay = 86'400;
  for (const int64_t later : {int64_t{60}, int64_t{3600}, kDay, 7 * kDay, 31 * kDay, 364 * kDay, 365 * kDay}) {
    if (later < period_s) continue;
    if (kept_s > 0 && kept_s < later) break;  // it was deleted by then
    const std::string name = this->name(kBegin, 0, false);
    if (name != this->name(kBegin + later, 0, false)) continue;
    return bad_pattern(original_, "would overwrite its own files: " + name + " comes again",
                       "Add what is missing of %Y%m%d%H%M%S, or allow it: overwrite, --force.");
  }
  return std::nullopt;
}

}  // namespace ringtap
