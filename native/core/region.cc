#include "core/region.h"

#include <cstdlib>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>

#include <cerrno>
#endif

namespace ringtap {

#if defined(__unix__) || defined(__APPLE__)

void keep_from_children([[maybe_unused]] void* base, [[maybe_unused]] size_t bytes) noexcept {
#ifdef MADV_DONTFORK
  madvise(base, bytes, MADV_DONTFORK);
#endif
}

Result<std::shared_ptr<Region>> Region::map(size_t bytes, int flags, int fd, int64_t offset) {
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  if (base == MAP_FAILED) {
    return system_error(Code::kNoMemory, "cannot map " + std::to_string(bytes) + " bytes", "mmap", errno);
  }
  keep_from_children(base, bytes);
  return std::make_shared<Region>(static_cast<std::byte*>(base), bytes,
                                  [](std::byte* at, size_t size) { munmap(at, size); });
}

Result<std::shared_ptr<Region>> Region::allocate(size_t bytes) {
  auto region = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS);
#ifdef MADV_HUGEPAGE
  if (region) madvise((*region)->base(), bytes, MADV_HUGEPAGE);
#endif
  return region;
}

#else

void keep_from_children(void*, size_t) noexcept {}

Result<std::shared_ptr<Region>> Region::allocate(size_t bytes) {
  void* base = std::calloc(bytes, 1);
  if (base == nullptr)
    return Error{.code = Code::kNoMemory, .message = "cannot allocate " + std::to_string(bytes) + " bytes"};
  return std::make_shared<Region>(static_cast<std::byte*>(base), bytes, [](std::byte* at, size_t) { std::free(at); });
}

#endif

}  // namespace ringtap
