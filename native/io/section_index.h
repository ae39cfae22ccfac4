// Where the sections of a trace begin, and when their packets were: a small file beside it, so that who looks for a
// time reads and decompresses one section and not all. section_index.md has its layout.
#pragma once

#include <algorithm>
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
  // Of all of its packets; both kNoTime: not known. The latest before the earliest: it has none.
  int64_t earliest = kNoTime;
  int64_t latest = kNoTime;
  bool describes = false;  // packets of later sections cannot be read without what it says of interfaces

  bool has_times() const noexcept { return earliest != kNoTime || latest != kNoTime; }
  /// Of one more packet, or several.
  void add(int64_t first, int64_t earliest_of, int64_t latest_of) noexcept {
    if (first_time == kNoTime) first_time = first;
    earliest = has_times() ? std::min(earliest, earliest_of) : earliest_of;
    latest = std::max(latest, latest_of);
  }
};

struct SectionIndex {
  /// A section is decompressed alone when the decompressor gets so many bytes of the beginning of the file, and then
  /// those of the section. 0: it needs none.
  uint32_t head_bytes = 0;
  /// What was decompressed before the first packet's record begins; 0: not known.
  uint64_t before_first = 0;
  std::vector<Section> sections;
  uint64_t length = 0;  // of the trace; read_index() tells it
};

/// Bytes of a trace that are read one after the other, out of what is left out.
struct Piece {
  uint64_t compressed = 0;                                // where its bytes begin in the file
  uint64_t decompressed = 0;                              // and in what is decompressed
  uint64_t bytes = std::numeric_limits<uint64_t>::max();  // that are decompressed; or to the end
};

/// The pieces that have every packet of this time (Unix ns, both included), and what it takes to read them. Empty:
/// all of it, as the index does not know the times.
std::vector<Piece> pieces_between(const SectionIndex& index, int64_t from, int64_t to);

/// `trace` with what its index is called behind it.
std::string index_path(const std::string& trace);

/// Writes the index of a complete trace, under another name at first. A file of that name that is no index is left
/// alone. 0, or errno.
int write_index(const std::string& trace, const SectionIndex& index);

/// The index of this trace. FILE_OPEN: there is none that can be read; FILE_FORMAT: it is none, or of another trace, or
/// older than it.
Result<SectionIndex> read_index(const std::string& trace);

/// The trace is called `to` now, and its index likewise; one of another trace of that name is gone.
void move_index(const std::string& from, const std::string& to) noexcept;

/// Deletes the index of a trace that is about to be overwritten, or was deleted.
void forget_index(const std::string& trace) noexcept;

}  // namespace ringtap
