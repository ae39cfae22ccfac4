#include "backends/file/indexed.h"

#include <algorithm>
#include <utility>

namespace ringtap::file {

Indexed Indexed::of(const std::string& path) {
  Indexed indexed;
  if (path == "-") return indexed;
  auto index = read_index(path);
  if (!index) {
    if (index.error().code != Code::kFileOpen) indexed.note = index.error().message + ": it is not used";
    return indexed;
  }
  const auto has_times = [](const Section& section) { return section.has_times(); };
  if (std::any_of(index->sections.begin(), index->sections.end(), has_times)) indexed.index = *std::move(index);
  return indexed;
}

std::optional<int64_t> Indexed::first_time() const {
  if (!index) return std::nullopt;
  for (const Section& section : index->sections) {
    if (!section.has_times()) return std::nullopt;
    if (section.first_time != Section::kNoTime) return section.first_time;
  }
  return std::nullopt;
}

bool Indexed::may_have(const TimeRange& range) const {
  if (!index) return true;
  return std::any_of(index->sections.begin(), index->sections.end(), [&range](const Section& section) {
    return !section.has_times() || (section.earliest <= range.to && section.latest >= range.from);
  });
}

Parts Indexed::parts(const TimeRange& range) const {
  if (!index) return {};
  return {
      .head_bytes = index->head_bytes, .length = index->length, .pieces = pieces_between(*index, range.from, range.to)};
}

}  // namespace ringtap::file
