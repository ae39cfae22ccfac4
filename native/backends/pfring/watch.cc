#include "backends/pfring/watch.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <cerrno>

#include "linux/interface.h"

namespace ringtap::pfring {

namespace {

constexpr long kEveryNs = 250'000'000;

}  // namespace

Result<Watch> Watch::start(int fd, std::vector<std::string> interfaces, const std::string& uri) {
  Watch watch;
  watch.uri_ = uri;
  watch.query_ = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!watch.query_) return system_error(Code::kSystem, uri + ": cannot ask for interfaces", "socket", errno);
  for (std::string& name : interfaces) {
    const int index = interface_index(watch.query_.get(), name);
    watch.interfaces_.push_back({std::move(name), index});
  }
  const auto cannot_wait = [&uri](const char* call) {
    return system_error(Code::kSystem, uri + ": cannot wait for packets", call, errno);
  };
  watch.epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!watch.epoll_) return cannot_wait("epoll_create1");
  watch.timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!watch.timer_) return cannot_wait("timerfd_create");
  const itimerspec every{{0, kEveryNs}, {0, kEveryNs}};
  timerfd_settime(watch.timer_.get(), 0, &every, nullptr);
  for (const int one : {fd, watch.timer_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_ctl(watch.epoll_.get(), EPOLL_CTL_ADD, one, &event) != 0) return cannot_wait("epoll_ctl");
  }
  return watch;
}

std::optional<Error> Watch::check() {
  uint64_t times = 0;
  if (read(timer_.get(), &times, sizeof times) != sizeof times) return std::nullopt;
  for (const Interface& interface : interfaces_) {
    ifreq request{};
    if (!interface_name(query_.get(), interface.index, request.ifr_name)) {
      return system_error(Code::kInterfaceGone, uri_ + ": interface \"" + interface.name + "\" was removed",
                          "ioctl(SIOCGIFNAME)", errno);
    }
    if (ioctl(query_.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) == 0) {
      return system_error(Code::kInterfaceDown, uri_ + ": interface \"" + interface.name + "\" went down", "poll",
                          ENETDOWN);
    }
  }
  return std::nullopt;
}

}  // namespace ringtap::pfring
