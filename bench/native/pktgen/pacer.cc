#include "pacer.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <limits>

namespace pktgen {
namespace {

constexpr double kTickNs = 100e3;    // frames go in bursts of this much time
constexpr double kMaxLateNs = 10e6;  // a longer interruption is not made good by a flood
constexpr double kMaxSleepNs = 100e6;

int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

}  // namespace

Pacer::Pacer(double rate) : rate_(rate) {
  prctl(PR_SET_TIMERSLACK, 1);  // the default of 50 µs is half a tick
}

void Pacer::start() { start_ns_ = base_ns_ = now_ns(); }

uint64_t Pacer::allowance(uint64_t sent) {
  if (rate_ <= 0) return std::numeric_limits<uint64_t>::max();
  const double per_ns = rate_ / 1e9;
  const double done_ns = static_cast<double>(sent) / per_ns;  // when the next frame is due, from base_ns_
  double elapsed = static_cast<double>(now_ns() - base_ns_);
  if (elapsed < done_ns) {
    const double wait = std::clamp(done_ns - elapsed, kTickNs, kMaxSleepNs);
    const int64_t until = base_ns_ + static_cast<int64_t>(elapsed + wait);
    const timespec t{until / 1000000000, until % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
    elapsed = static_cast<double>(now_ns() - base_ns_);
    if (elapsed < done_ns) return 0;
  }
  if (elapsed - done_ns > kMaxLateNs) {
    base_ns_ += static_cast<int64_t>(elapsed - done_ns - kMaxLateNs);
    elapsed = done_ns + kMaxLateNs;
  }
  return static_cast<uint64_t>(elapsed * per_ns) - sent + 1;
}

double Pacer::seconds() const { return static_cast<double>(now_ns() - start_ns_) / 1e9; }

}  // namespace pktgen
