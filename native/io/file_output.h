// Files, named pipes and standard output, to write to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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

#ifndef _WIN32
/// Makes a file that is open for writing ours alone, until unlock_file() or its last close: RINGTAP_BUSY when somebody
/// else writes it. Where the file system has no locks, so be it.
std::optional<Error> lock_file(int fd, const std::string& path);
void unlock_file(int fd) noexcept;
#endif

Error file_exists(const std::string& path);

}  // namespace ringtap
