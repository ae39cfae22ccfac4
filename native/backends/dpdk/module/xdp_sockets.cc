#include "backends/dpdk/module/xdp_sockets.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace ringtap::dpdk {

namespace {

constexpr int kBusyMicroseconds = 20;  // DPDK's

template <class T>
T option(int fd, int name) {
  T value{};
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : T{};
}

/// 0 for what is no such socket.
uint64_t cookie_of(int fd) {
  if (option<int>(fd, SO_DOMAIN) != AF_XDP || option<int>(fd, SO_BUSY_POLL) != kBusyMicroseconds) return 0;
  return option<uint64_t>(fd, SO_COOKIE);
}

}  // namespace

XdpSockets XdpSockets::now() {
  XdpSockets sockets;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    if (const uint64_t cookie = cookie_of(fd); cookie != 0) sockets.cookies_.emplace(fd, cookie);
  }
  return sockets;
}

XdpSockets XdpSockets::since(const XdpSockets& before) const {
  XdpSockets added = *this;
  std::erase_if(added.cookies_, [&](const auto& socket) {
    const auto known = before.cookies_.find(socket.first);
    return known != before.cookies_.end() && known->second == socket.second;
  });
  return added;
}

void XdpSockets::close() noexcept {
  for (const auto& [fd, cookie] : cookies_) {
    if (cookie_of(fd) == cookie) ::close(fd);
  }
  cookies_.clear();
}

}  // namespace ringtap::dpdk
