// A file that is written from its start to its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap {

class OutputFile {
 public:
  /// `-` is standard output, which is never closed. Without `append` an existing file is emptied. Never waits: a named
  /// pipe that nobody reads is ENXIO.
  static Result<OutputFile> open(const std::string& path, bool append);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// The first bytes of a file that is appended to; none if it is new.
  const std::vector<std::byte>& existing() const noexcept { return existing_; }

  /// Writes all of it, waiting as long as it takes. Answers how many bytes went out; when these are not all,
  /// errno says why. Neither SIGPIPE nor SIGXFSZ is raised.
  size_t write(std::span<const std::byte> bytes) noexcept;

  /// Takes the last `bytes` written back, where that is possible.
  bool take_back(size_t bytes) noexcept;

  /// 0, or the errno of a failure that the system reports only now.
  int close() noexcept;

 private:
  OutputFile(int fd, bool owned) : fd_(fd), owned_(owned) {}

  int fd_ = -1;
  bool owned_ = false;
  bool regular_ = false;
  std::vector<std::byte> existing_;
};

}  // namespace ringtap
