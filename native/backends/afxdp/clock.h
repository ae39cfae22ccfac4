// From the clock that XDP programs stamp with to real time.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace ringtap::afxdp {

/// How far real time is ahead of the monotonic clock. Both run at the same rate, slewing included: it changes only when
/// somebody sets the clock. Stamps that are read afterwards are of the new time, whenever their packets arrived.
class ClockOffset {
 public:
  int64_t ns() const { return ns_; }

  /// Real time was read between two looks at the monotonic clock.
  /// WHY not simply the last look: a reader that lost the CPU in between knows the offset badly. The sharpest look
  /// counts, until one contradicts it.
  void observe(int64_t before, int64_t real, int64_t after) {
    const int64_t slack = (after - before + 1) / 2;
    const int64_t ns = real - before - slack;
    if (slack < slack_ || std::abs(ns - ns_) > slack + slack_) {
      ns_ = ns;
      slack_ = slack;
    }
  }

 private:
  int64_t ns_ = 0;
  int64_t slack_ = INT64_MAX / 4;
};

/// How far this process's monotonic clock is ahead of the kernel's: not at all, but in a time namespace.
int64_t time_namespace_offset();

/// CLOCK_… now.
int64_t clock_ns(int clock);

}  // namespace ringtap::afxdp
