#include "backends/dpdk/module/descriptors.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace ringtap::dpdk {

namespace {

/// 0 for what is no AF_XDP socket.
uint64_t cookie_of(int fd) noexcept {
  int domain = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_XDP) return 0;
  uint64_t cookie = 0;
  size = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/// What a child would inherit, by inode.
NewDescriptors::Files inherited() {
  NewDescriptors::Files files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    const int flags = fcntl(fd, F_GETFD);
    struct stat status {};
    if (flags < 0 || (flags & FD_CLOEXEC) != 0 || fstat(fd, &status) != 0) continue;
    files.emplace(fd, status.st_ino);
  }
  return files;
}

}  // namespace

NewDescriptors::NewDescriptors() : before_(inherited()) {}

NewDescriptors::Files NewDescriptors::keep() noexcept {
  Files sockets;
  for (const auto& [fd, inode] : inherited()) {
    const auto known = before_.find(fd);
    if (known != before_.end() && known->second == inode) continue;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (const uint64_t cookie = cookie_of(fd); cookie != 0) sockets.emplace(fd, cookie);
  }
  return sockets;
}

void close_sockets(const NewDescriptors::Files& sockets) noexcept {
  for (const auto& [fd, cookie] : sockets) {
    if (cookie_of(fd) == cookie) close(fd);
  }
}

}  // namespace ringtap::dpdk
