#include "core/region.h"

#include <cstdlib>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>

#include <cerrno>
#endif

namespace ringtap {

Result<std::shared_ptr<Region>> Region::allocate(size_t bytes) {
#if defined(__unix__) || defined(__APPLE__)
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    return system_error(Code::kNoMemory, "cannot allocate " + std::to_string(bytes) + " bytes", "mmap", errno);
  }
#ifdef MADV_HUGEPAGE
  madvise(base, bytes, MADV_HUGEPAGE);
#endif
  return std::make_shared<Region>(static_cast<std::byte*>(base), bytes,
                                  [](std::byte* at, size_t size) { munmap(at, size); });
#else
  void* base = std::calloc(bytes, 1);
  if (base == nullptr)
    return Error{.code = Code::kNoMemory, .message = "cannot allocate " + std::to_string(bytes) + " bytes"};
  return std::make_shared<Region>(static_cast<std::byte*>(base), bytes, [](std::byte* at, size_t) { std::free(at); });
#endif
}

}  // namespace ringtap
