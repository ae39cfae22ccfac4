// What the index beside a trace says of the packets that are wanted.
#pragma once

#include <optional>
#include <string>

#include "backends/file/time_range.h"
#include "io/decompressing_input.h"
#include "io/section_index.h"

namespace ringtap::file {

/// A trace and its index, where there is one that can be used.
struct Indexed {
  std::optional<SectionIndex> index = {};
  std::string note = {};  // for the user: what is done without it, and why

  static Indexed of(const std::string& path);

  /// Of its first packet.
  std::optional<int64_t> first_time() const;
  /// False: none of its packets is in the range, for sure.
  bool may_have(const TimeRange& range) const;
  /// What has to be read of it.
  Parts parts(const TimeRange& range) const;
};

}  // namespace ringtap::file
