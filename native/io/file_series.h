// Files one after the other, each of which gets its name when it is complete.
#pragma once

#include <cstdint>
#include <string>

#include "io/file_output.h"
#include "io/output.h"

namespace ringtap {

struct SeriesRequest {
  std::string pattern;     // of their names: FileNames
  bool many = true;        // several may begin in one second
  int64_t period_s = 0;    // how far apart they begin; 0: not by the time
  uint32_t keep = 0;       // the newest, of those that are complete; the others are deleted. 0: all
  bool overwrite = false;  // files that exist
  FileWriting how = {};
  bool sync = false;  // a file is on the disk before it has its name, and its name then
};

/// Each open() begins a file beside its name, with `.part` behind it; complete() gives it its name. A file that exists
/// is left alone: at first that is an error, later the new one is told apart by a number. One thread uses it.
Result<Destination> to_files(const SeriesRequest& request);

}  // namespace ringtap
