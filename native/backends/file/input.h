// Where a trace comes from: a regular file, or a stream that may have nothing to say yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/error.h"

namespace ringtap {

class Input {
 public:
  /// `-` is standard input, which is never closed nor switched to non-blocking mode.
  static Result<Input> open(const std::string& path);

  Input(Input&& other) noexcept;
  Input& operator=(Input&& other) noexcept;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() { close(); }

  /// Bytes read, 0 at the end, kNothingYet, or kFailed with errno set. Never waits for a stream.
  int64_t read(std::byte* to, size_t bytes) noexcept;
  static constexpr int64_t kNothingYet = -1;
  static constexpr int64_t kFailed = -2;

  /// Waits until a stream has something to read, or has ended. False when time is up.
  bool wait(int timeout_ms) const noexcept;

  bool stream() const noexcept { return stream_; }
  int fd() const noexcept { return fd_; }
  void close() noexcept;

 private:
  Input(int fd, bool owned, bool stream) : fd_(fd), owned_(owned), stream_(stream) {}

  int fd_;
  bool owned_;
  bool stream_;
};

}  // namespace ringtap
