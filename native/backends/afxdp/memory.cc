#include "backends/afxdp/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

namespace ringtap::afxdp {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = 2 << 20;

size_t aligned(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

Result<Memory> allocate(const MemoryRequest& request, const std::string& uri, std::vector<std::string>& notes) {
  Memory memory;
  memory.joined_at = aligned(size_t{request.frames} * request.frame_bytes, kPage);
  const size_t bytes = memory.joined_at + size_t{request.joined_slots} * request.joined_bytes;
  if (bytes > kMaxSegmentBytes) {
    return Error{.code = Code::kBadOption,
                 .message = uri + ": frames × frameBytes is " + std::to_string(bytes) + " bytes, and " +
                            std::to_string(kMaxSegmentBytes) + " are the most that one capture can show"};
  }
  if (request.huge_pages) {
    const size_t whole = aligned(bytes, kHugePage);
    void* base = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (base != MAP_FAILED) {
      memory.region = std::make_shared<Region>(static_cast<std::byte*>(base), whole,
                                               [](std::byte* at, size_t size) { munmap(at, size); });
      return memory;
    }
    notes.push_back(
        "no huge pages (" + std::string(std::strerror(errno)) +
        "): ordinary ones are used; reserve some with sysctl vm.nr_hugepages=" + std::to_string(whole / kHugePage));
  }
  auto region = Region::allocate(bytes);
  if (!region) return std::move(region).error();
  memory.region = *std::move(region);
  return memory;
}

bool raise_memlock() {
  rlimit now{};
  if (getrlimit(RLIMIT_MEMLOCK, &now) != 0 || now.rlim_cur == RLIM_INFINITY) return false;
  const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &all) == 0) return true;
  if (now.rlim_cur == now.rlim_max) return false;
  const rlimit most{now.rlim_max, now.rlim_max};
  return setrlimit(RLIMIT_MEMLOCK, &most) == 0;
}

uint64_t memlock_limit() {
  rlimit now{};
  return getrlimit(RLIMIT_MEMLOCK, &now) == 0 ? now.rlim_cur : 0;
}

}  // namespace ringtap::afxdp
