#include "backends/afxdp/memory.h"

#include <sys/mman.h>

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
    auto huge = Region::map(whole, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
    if (huge) {
      memory.region = *std::move(huge);
      return memory;
    }
    notes.push_back(
        "no huge pages (" + std::string(std::strerror(huge.error().err)) +
        "): ordinary ones are used; reserve some with sysctl vm.nr_hugepages=" + std::to_string(whole / kHugePage));
  }
  auto region = Region::allocate(bytes);
  if (!region) return std::move(region).error();
  memory.region = *std::move(region);
  return memory;
}

bool MemlockLift::raise() {
  static std::mutex one_at_a_time;
  if (alone_.owns_lock()) return false;
  alone_ = std::unique_lock(one_at_a_time);
  if (getrlimit(RLIMIT_MEMLOCK, &before_) == 0 && before_.rlim_cur != RLIM_INFINITY) {
    const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &all) == 0) return true;
    const rlimit most{before_.rlim_max, before_.rlim_max};
    if (before_.rlim_cur != before_.rlim_max && setrlimit(RLIMIT_MEMLOCK, &most) == 0) return true;
  }
  alone_.unlock();
  return false;
}

MemlockLift::~MemlockLift() {
  if (alone_.owns_lock()) setrlimit(RLIMIT_MEMLOCK, &before_);
}

uint64_t memlock_limit() {
  rlimit now{};
  return getrlimit(RLIMIT_MEMLOCK, &now) == 0 ? now.rlim_cur : 0;
}

}  // namespace ringtap::afxdp
