// Where the sections of a compressed trace begin: a small file beside it, so that who looks for a time decompresses one
// section and not all. section_index.md has its layout.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap {

struct Section {
  static constexpr int64_t kNoTime = std::numeric_limits<int64_t>::min();

  uint64_t compressed = 0;       // where its bytes begin in the file
  uint64_t decompressed = 0;     // and in what is decompressed, always with a whole record
  int64_t first_time = kNoTime;  // Unix ns of its first packet
};

struct SectionIndex {
  /// A section is decompressed alone when the decompressor gets so many bytes of the beginning of the file, and then
  /// those of the section. 0: it needs none.
  uint32_t head_bytes = 0;
  std::vector<Section> sections;
};

/// `trace` with what its index is called behind it.
std::string index_path(const std::string& trace);

/// Writes the index of a complete trace, under another name at first. A file of that name that is no index is left
/// alone. 0, or errno.
int write_index(const std::string& trace, const SectionIndex& index);

/// The index of this trace. FILE_OPEN: there is none that can be read; FILE_FORMAT: it is none, or of another trace.
Result<SectionIndex> read_index(const std::string& trace);

/// Deletes the index of a trace that is about to be overwritten, or was deleted.
void forget_index(const std::string& trace) noexcept;

}  // namespace ringtap
