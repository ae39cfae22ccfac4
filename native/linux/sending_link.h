// The link that frames are sent on: how long they may be, and whether somebody is at its other end.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>

#include "core/tx.h"
#include "linux/interface.h"

namespace ringtap {

class SendingLink {
 public:
  explicit SendingLink(const Interface& interface);

  TxLimits limits() const noexcept { return limits_; }

  /// Hears of another MTU, now and then: it is called often.
  void look() noexcept;

  /// Something was not sent. @returns whether that is for want of a carrier
  bool lost() noexcept;
  /// Whether there was no carrier when it was last asked, a millisecond ago at most.
  bool is_down() noexcept;
  /// Of so many frames for a link that is down: how many to give up now. WHY not all: who sends as fast as he can would
  /// be kept busy by nothing. A schedule of 256,000 frames a second is kept all the same.
  uint32_t give_up(uint32_t frames) noexcept;

  /// Why the interface sends nothing: it is down, gone, or `err`.
  Error failure(const char* syscall, int err) const;

 private:
  using Clock = std::chrono::steady_clock;
  bool has_carrier() const noexcept;

  int query() const noexcept;

  mutable UniqueFd query_;  // from the first question on: few captures send
  const int interface_;
  TxLimits limits_;
  Clock::time_point looked_ = Clock::now();
  bool down_ = false;
  Clock::time_point asked_{};
  Clock::time_point given_up_{};
  uint32_t budget_ = 0;
};

}  // namespace ringtap
