#include "backends/dpdk/module/xdp_sockets.h"

#include <sys/socket.h>
#include <unistd.h>

#include "linux/packet_socket.h"

namespace ringtap::dpdk {

namespace {

/// 0 for what is no AF_XDP socket.
uint64_t cookie_of(int fd) noexcept {
  if (socket_domain(fd) != AF_XDP) return 0;
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace

XdpSockets xdp_sockets_of(const std::vector<int>& descriptors) noexcept {
  XdpSockets sockets;
  for (const int fd : descriptors) {
    if (const uint64_t cookie = cookie_of(fd); cookie != 0) sockets.emplace(fd, cookie);
  }
  return sockets;
}

void close_sockets(const XdpSockets& sockets) noexcept {
  for (const auto& [fd, cookie] : sockets) {
    if (cookie_of(fd) == cookie) close(fd);
  }
}

}  // namespace ringtap::dpdk
