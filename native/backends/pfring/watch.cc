#include "backends/pfring/watch.h"

#include <cerrno>
#include <chrono>

#include "linux/interface.h"

namespace ringtap::pfring {

namespace {

constexpr auto kEvery = std::chrono::milliseconds(250);

}  // namespace

Result<Watch> Watch::start(int fd, std::vector<std::string> interfaces, const std::string& uri) {
  auto waiting = WaitSet::open(uri);
  if (!waiting) return std::move(waiting).error();
  if (auto added = waiting->add(fd); !added) return std::move(added).error();
  Watch watch(*std::move(waiting));
  watch.uri_ = uri;
  watch.query_ = query_socket();
  if (!watch.query_) return system_error(Code::kSystem, uri + ": cannot ask for interfaces", "socket", errno);
  for (std::string& name : interfaces) {
    const int index = interface_index(watch.query_.get(), name);
    watch.interfaces_.push_back({std::move(name), index});
  }
  watch.waiting_.wake_after(kEvery);
  return watch;
}

std::optional<Error> Watch::check() {
  if (!waiting_.timer_ran_out()) return std::nullopt;
  waiting_.wake_after(kEvery);
  for (const Named& interface : interfaces_) {
    switch (link_state(query_.get(), interface.index)) {
      case LinkState::kUp:
        break;
      case LinkState::kDown:
        return system_error(Code::kInterfaceDown, uri_ + ": interface \"" + interface.name + "\" went down", "poll",
                            ENETDOWN);
      case LinkState::kGone:
        return system_error(Code::kInterfaceGone, uri_ + ": interface \"" + interface.name + "\" was removed",
                            "ioctl(SIOCGIFNAME)", ENODEV);
    }
  }
  return std::nullopt;
}

}  // namespace ringtap::pfring
