#include "core/new_descriptors.h"

#include <algorithm>

#if defined(_WIN32)

namespace ringtap {

// Handles are not inherited there unless somebody asks for it.
NewDescriptors::NewDescriptors() = default;
void NewDescriptors::close_on_exec() const noexcept {}

}  // namespace ringtap

#else

#include <dirent.h>
#include <fcntl.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace ringtap {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};

#if defined(__linux__)
constexpr const char* kFolder = "/proc/self/fd";
#else
constexpr const char* kFolder = "/dev/fd";
#endif

template <class Visit>
void each_descriptor(Visit visit) {
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(kFolder));
  if (!folder) return;
  while (const dirent* entry = readdir(folder.get())) {
    int fd = -1;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    const bool number = std::from_chars(entry->d_name, end, fd).ptr == end;
    if (number && fd != dirfd(folder.get())) visit(fd);
  }
}

}  // namespace

NewDescriptors::NewDescriptors() {
  each_descriptor([&](int fd) { before_.push_back(fd); });
  std::sort(before_.begin(), before_.end());
}

void NewDescriptors::close_on_exec() const noexcept {
  each_descriptor([&](int fd) {
    if (std::binary_search(before_.begin(), before_.end(), fd)) return;
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  });
}

}  // namespace ringtap

#endif
