#include "core/new_descriptors.h"

#ifndef _WIN32
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>
#include <cstring>
#include <memory>
#endif

namespace ringtap {

#if defined(_WIN32)

// Handles are not inherited there unless somebody asks for it.
NewDescriptors::NewDescriptors() = default;
std::vector<int> NewDescriptors::keep() noexcept { return {}; }

#else

namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};

#if defined(__linux__)
constexpr const char* kFolder = "/proc/self/fd";
#else
constexpr const char* kFolder = "/dev/fd";
#endif

/// What a child would inherit, by inode.
std::map<int, uint64_t> inherited() {
  std::map<int, uint64_t> files;
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(kFolder));
  if (!folder) return files;
  while (const dirent* entry = readdir(folder.get())) {
    int fd = -1;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, fd).ptr != end) continue;
    const int flags = fcntl(fd, F_GETFD);
    struct stat status {};
    if (flags < 0 || (flags & FD_CLOEXEC) != 0 || fstat(fd, &status) != 0) continue;
    files.emplace(fd, status.st_ino);
  }
  return files;
}

}  // namespace

NewDescriptors::NewDescriptors() : before_(inherited()) {}

std::vector<int> NewDescriptors::keep() noexcept {
  std::vector<int> opened;
  for (const auto& [fd, inode] : inherited()) {
    const auto known = before_.find(fd);
    if (known != before_.end() && known->second == inode) continue;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    opened.push_back(fd);
  }
  return opened;
}

#endif

}  // namespace ringtap
