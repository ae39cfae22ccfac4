// Files, named pipes and standard output, to write to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/output.h"

namespace ringtap {

/// What becomes of a regular file that exists and is not empty.
enum class Existing : uint8_t { kEmptied, kRefused };

/// How a regular file is written.
struct FileWriting {
  bool direct = false;  // past the page cache
  uint64_t preallocate =
      0;  // so many bytes of the disk are claimed at a time; what was not needed is given back at the end
};

/// `-` is standard output, which is never closed. A regular file is ours alone until it is closed: RINGTAP_BUSY when
/// somebody else writes it.
Destination to_file(const std::string& path, Existing existing = Existing::kEmptied, FileWriting how = {});

/// A file that is not there yet: else EEXIST.
Result<std::unique_ptr<Output>> open_new_file(const std::string& path, FileWriting how = {});

Error file_exists(const std::string& path);

}  // namespace ringtap
