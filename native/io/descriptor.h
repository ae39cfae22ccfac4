// A file descriptor that is read from; ours, or one that we only use.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#ifdef _WIN32
#include <io.h>
#include <stdio.h>
#else
#include <sys/uio.h>
#include <unistd.h>
#ifdef RWF_NOWAIT
#include <sys/syscall.h>
#endif
#endif

#include "io/input.h"

namespace ringtap {

class Descriptor {
 public:
  static constexpr int64_t kNothingYet = Input::kNothingYet;
  static constexpr int64_t kFailed = Input::kFailed;

  Descriptor() = default;
  Descriptor(int fd, bool owned) noexcept : fd_(fd), owned_(owned) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)), owned_(other.owned_) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    owned_ = other.owned_;
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const noexcept { return fd_; }

  bool seek(uint64_t at) const noexcept {
#ifdef _WIN32
    return ::_lseeki64(fd_, static_cast<int64_t>(at), SEEK_SET) >= 0;
#else
    return ::lseek(fd_, static_cast<off_t>(at), SEEK_SET) >= 0;
#endif
  }

  /// Bytes read, 0 at the end, kNothingYet, or kFailed with errno set. Waits where the descriptor does.
  int64_t read(std::byte* to, size_t bytes) const noexcept {
#ifdef _WIN32
    const int n = ::_read(fd_, to, static_cast<unsigned>(bytes));
    return n < 0 ? kFailed : n;
#else
    for (;;) {
      const ssize_t n = ::read(fd_, to, bytes);
      if (n >= 0) return n;
      if (errno == EAGAIN) return kNothingYet;
      if (errno != EINTR) return kFailed;
    }
#endif
  }

  /// The same for what is in the page cache, and kNothingYet for what is not. `possible` becomes false where the file
  /// system cannot tell.
  int64_t read_cached(std::byte* to, size_t bytes, bool& possible) const noexcept {
#ifdef RWF_NOWAIT
    iovec piece{.iov_base = to, .iov_len = bytes};
    // WHY no preadv2(): musl has it from 1.2.5 on, and a binary that asks for it does not load on Alpine before 3.20.
    // The offset is two words, of which a 64-bit kernel reads one.
    const long n = ::syscall(SYS_preadv2, fd_, &piece, 1, -1L, -1L, RWF_NOWAIT);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EINTR) return kNothingYet;
    possible = false;
#else
    (void)to;
    (void)bytes;
    possible = false;
#endif
    return kNothingYet;
  }

 private:
  void close() noexcept {
    if (!owned_ || fd_ < 0) return;
#ifdef _WIN32
    ::_close(fd_);
#else
    ::close(fd_);
#endif
    fd_ = -1;
  }

  int fd_ = -1;
  bool owned_ = false;
};

}  // namespace ringtap
