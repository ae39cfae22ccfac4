// A descriptor that one thread makes readable for another one. Linux only.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap {

class Signal {
 public:
  static Result<Signal> make() {
    Signal signal;
    signal.fd_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!signal.fd_) return system_error(Code::kSystem, "no descriptor to wake a reader by", "eventfd", errno);
    return signal;
  }

  int fd() const noexcept { return fd_.get(); }
  /// Any thread.
  void raise() const noexcept {
    const uint64_t one = 1;
    // It fails where it is raised already, far beyond counting.
    [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
  }
  void clear() const noexcept {
    uint64_t count = 0;
    [[maybe_unused]] const auto read = ::read(fd_.get(), &count, sizeof count);
  }

 private:
  UniqueFd fd_;
};

}  // namespace ringtap
