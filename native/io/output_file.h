// A file that is written from its start to its end.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "io/pipe_room.h"

namespace ringtap {

class OutputFile {
 public:
  /// `-` is standard output, which is never closed. Without `append` an existing file is emptied. A regular file is
  /// ours alone until close(): RINGTAP_BUSY when somebody else writes it. A named pipe that nobody reads is ENXIO: it
  /// is not waited for.
  static Result<OutputFile> open(const std::string& path, bool append);

  /// Is this why open() failed: a named pipe that nobody reads yet?
  static bool is_unread_pipe(const Error& error, const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// The first bytes of a file that is appended to; none if it is new.
  const std::vector<std::byte>& existing() const noexcept { return existing_; }

  /// As many bytes as the next write() puts out whole or not at all, so that no reader ever sees a part, however the
  /// process ends: waits until a pipe has any room. 0: it is no pipe, and any number may be cut.
  size_t bytes_at_once(const std::atomic<bool>& give_up) noexcept;

  /// Writes all of it, waiting for a pipe's reader until `give_up` is set (ECANCELED). Answers how many bytes went out;
  /// when these are not all, errno says why. Raises SIGPIPE and SIGXFSZ, which this thread has to block.
  size_t write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept;

  /// Takes the last `bytes` written back, where that is possible.
  bool take_back(size_t bytes) noexcept;

  /// 0, or the errno of a failure that the system reports only now.
  int close() noexcept;

 private:
  OutputFile(int fd, bool owned) : fd_(fd), owned_(owned) {}
  bool wait_for_reader(const std::atomic<bool>& give_up) const noexcept;

  int fd_ = -1;
  bool owned_ = false;
  bool regular_ = false;
  std::optional<PipeRoom> pipe_;  // or a socket: its reader decides how fast it goes
  std::vector<std::byte> existing_;
};

}  // namespace ringtap
