// How much a pipe that we alone write takes whole, without asking it to wait.
#pragma once

#ifndef _WIN32
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace ringtap {

/// A pipe is a ring of pages. A write takes new ones, but for what still fits into the last; a page is free again when
/// all of it was read. So the writes that are not read yet tell how many pages are taken at most.
#ifdef _WIN32
class PipeRoom {};
#else
class PipeRoom {
 public:
  explicit PipeRoom(int fd) {
#ifdef F_GETPIPE_SZ
    const int capacity = fcntl(fd, F_GETPIPE_SZ);
    if (capacity > 0) pages_ = static_cast<size_t>(capacity) / kPage;
#endif
  }

  /// Bytes that one write puts out whole. At least PIPE_BUF: that many it puts out whole, or not at all.
  size_t bytes_at_once(int fd) {
    int waiting = 0;
    if (pages_ == 0 || ioctl(fd, FIONREAD, &waiting) != 0) return PIPE_BUF;
    const auto unread = static_cast<uint64_t>(waiting);
    if (unread > written_) return PIPE_BUF;  // not ours alone
    const uint64_t read = written_ - unread;
    for (; !writes_.empty() && writes_.front().end <= read; writes_.pop_front()) taken_ -= writes_.front().pages;
    const size_t free = pages_ - std::min(pages_, taken_);
    return std::max<size_t>(free * kPage, PIPE_BUF);
  }

  void wrote(size_t bytes) {
    const size_t pages = (bytes + kPage - 1) / kPage;
    written_ += bytes;
    taken_ += pages;
    writes_.push_back({.end = written_, .pages = pages});
  }

 private:
  struct Write {
    uint64_t end = 0;
    size_t pages = 0;
  };
  static inline const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

  size_t pages_ = 0;          // 0: not known, or no pipe
  std::deque<Write> writes_;  // that are not read yet
  size_t taken_ = 0;
  uint64_t written_ = 0;
};
#endif

}  // namespace ringtap
