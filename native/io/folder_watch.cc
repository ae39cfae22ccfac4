#include "io/folder_watch.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <thread>
#ifdef __linux__
#include <poll.h>
#include <sys/inotify.h>
#endif

namespace ringtap {

FolderWatch::FolderWatch([[maybe_unused]] const std::string& folder) {
#ifdef __linux__
  Descriptor events(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), true);
  constexpr uint32_t kWhat = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
  if (events.get() >= 0 && inotify_add_watch(events.get(), folder.c_str(), kWhat | IN_ONLYDIR) >= 0)
    events_ = std::move(events);
#endif
}

void FolderWatch::reset() const noexcept {
#ifdef __linux__
  std::byte events[4096];
  while (events_.get() >= 0 && events_.read(events, sizeof events) > 0) {
  }
#endif
}

void FolderWatch::wait(int most_ms) const noexcept {
  const int ms = std::min(most_ms, patience_ms());
#ifdef __linux__
  pollfd waiting{.fd = fd(), .events = POLLIN, .revents = 0};  // a descriptor of -1 is only waited for
  poll(&waiting, 1, ms);
#else
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
#endif
}

}  // namespace ringtap
