#include "linux/wait_set.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>

namespace ringtap {

namespace {

Error cannot_wait(const std::string& uri, const char* call) {
  return system_error(Code::kSystem, uri + ": cannot wait for packets", call, errno);
}

}  // namespace

Result<WaitSet> WaitSet::open(const std::string& uri) {
  WaitSet set;
  set.uri_ = uri;
  set.epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!set.epoll_) return cannot_wait(uri, "epoll_create1");
  set.timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!set.timer_) return cannot_wait(uri, "timerfd_create");
  if (auto added = set.add(set.timer_.get()); !added) return std::move(added).error();
  return set;
}

Result<Ok> WaitSet::add(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return cannot_wait(uri_, "epoll_ctl");
  return Ok{};
}

void WaitSet::wake_after(std::chrono::nanoseconds after) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(after);
  const itimerspec once{{}, {static_cast<time_t>(seconds.count()), static_cast<long>((after - seconds).count())}};
  timerfd_settime(timer_.get(), 0, &once, nullptr);
}

bool WaitSet::timer_ran_out() noexcept {
  uint64_t times = 0;
  return read(timer_.get(), &times, sizeof times) == sizeof times;
}

}  // namespace ringtap
