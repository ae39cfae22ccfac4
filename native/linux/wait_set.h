// Waiting for several descriptors at once, and for time to pass.
#pragma once

#include <chrono>

#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap {

/// One descriptor that is readable when any of several is, or when its timer has run out.
class WaitSet {
 public:
  /// Empty. `uri` is for messages.
  static Result<WaitSet> open(const std::string& uri);

  int fd() const noexcept { return epoll_.get(); }
  /// Borrows `fd`. Errors: SYSTEM.
  Result<Ok> add(int fd);
  /// Sets the timer anew: once, `after` from now.
  void wake_after(std::chrono::nanoseconds after) noexcept;
  /// Has the timer run out since it was set? Once only.
  bool timer_ran_out() noexcept;

 private:
  UniqueFd epoll_;
  UniqueFd timer_;
  std::string uri_;
};

}  // namespace ringtap
