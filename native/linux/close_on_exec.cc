#include "linux/close_on_exec.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace ringtap {

namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

/// The descriptors that children inherit, in order.
std::vector<int> inherited() {
  std::vector<int> found;
  const std::unique_ptr<DIR, CloseFolder> folder(opendir("/proc/self/fd"));
  if (folder == nullptr) return found;
  while (const dirent* entry = readdir(folder.get())) {
    char* end = nullptr;
    const long fd = std::strtol(entry->d_name, &end, 10);
    if (*end != '\0') continue;
    const int flags = fcntl(static_cast<int>(fd), F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) found.push_back(static_cast<int>(fd));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

CloseOnExec::CloseOnExec() : before_(inherited()) {}

// Whatever else appeared meanwhile was another thread's; Node marks all of its own.
CloseOnExec::~CloseOnExec() {
  for (const int fd : inherited()) {
    if (!std::binary_search(before_.begin(), before_.end(), fd)) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

}  // namespace ringtap
