#include "backends/mirror/socket.h"

#include <linux/sock_diag.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>

namespace ringtap::mirror {
namespace {

#ifndef UDP_GRO
constexpr int UDP_GRO = 104;
#endif

/// As large as it is allowed to be; what it got.
int64_t enlarge(int fd, int64_t bytes) noexcept {
  const int wanted = static_cast<int>(std::min<int64_t>(bytes, INT32_MAX / 2));
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
  int got = 0;
  socklen_t size = sizeof got;
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size);
  return got / 2;  // the kernel doubles it, for its own bookkeeping
}

bool set(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Error cannot_bind(const SocketSetup& setup, int fault) {
  const Code code = fault == EADDRINUSE ? Code::kBusy : fault == EACCES ? Code::kNoPermission : Code::kSystem;
  Error error = system_error(code, setup.endpoint.text() + " cannot be received at", "bind", fault);
  if (fault == EADDRINUSE) {
    error.hint =
        "Somebody has the port: `ss -lunp` tells who, and a vxlan or geneve device of this host has its own. "
        "Several captures divide it where each has share=1.";
  } else if (fault == EADDRNOTAVAIL) {
    error.hint = "It is no address of this host: `ip address` lists them, and 0.0.0.0 is all of them.";
  }
  return error;
}

}  // namespace

Result<Socket> open_socket(const SocketSetup& setup) {
  const int family = setup.endpoint.family();
  Socket made;
  constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  made.fd = UniqueFd(setup.is_raw ? ::socket(family, SOCK_RAW | kFlags, IPPROTO_GRE)
                                  : ::socket(family, SOCK_DGRAM | kFlags, 0));
  const int fd = made.fd.get();
  if (!made.fd) {
    const bool is_right = errno == EPERM || errno == EACCES;
    return system_error(is_right ? Code::kNoPermission : Code::kSystem,
                        setup.name + (setup.is_raw ? ": no raw socket, which needs CAP_NET_RAW" : ": no socket"),
                        "socket", errno);
  }
  if (family == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (setup.shares) set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  made.buffer_bytes = enlarge(fd, setup.buffer_bytes);
  if (made.buffer_bytes < setup.buffer_bytes) {
    made.notes.push_back("the kernel gives the socket a buffer of " + std::to_string(made.buffer_bytes) + " of " +
                         std::to_string(setup.buffer_bytes) + " bytes: sysctl net.core.rmem_max allows more");
  }
  set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  if (!setup.is_raw && !set(fd, SOL_UDP, UDP_GRO, 1)) made.notes.emplace_back("this kernel has no UDP GRO");
  if (bind(fd, setup.endpoint.get(), setup.endpoint.bytes) != 0) return cannot_bind(setup, errno);
  return made;
}

uint32_t kernel_drops(int fd) noexcept {
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof memory;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) != 0) return 0;
  return memory[SK_MEMINFO_DROPS];
}

}  // namespace ringtap::mirror
