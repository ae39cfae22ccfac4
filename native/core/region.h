// Reference-counted memory that JS can see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/error.h"

namespace ringtap {

/// The largest piece shown as one ArrayBuffer: offsets of 2^31 and above are slow in V8.
inline constexpr size_t kMaxSegmentBytes = (size_t{1} << 31) - 64;

/// Whole pages that a fork() need not copy: a child of ours only goes on to another program. WHY: pages that are pinned
/// for a device are copied there and then, a third of a second for 256 MiB, during which nothing is read.
void keep_from_children(void* base, size_t bytes) noexcept;

/// Memory with one owner count. Sessions, threads and ArrayBuffers each hold a shared_ptr; the last
/// one to go unmaps, because finalizers and clean-up hooks run in no useful order.
class Region {
 public:
  using Free = std::function<void(std::byte*, size_t)>;

  Region(std::byte* base, size_t bytes, Free free) : base_(base), bytes_(bytes), free_(std::move(free)) {}
  ~Region() { free_(base_, bytes_); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  std::byte* base() const noexcept { return base_; }
  size_t bytes() const noexcept { return bytes_; }

  /// Anonymous zeroed memory, page aligned, on transparent huge pages where the kernel likes to.
  static Result<std::shared_ptr<Region>> allocate(size_t bytes);
#if defined(__unix__) || defined(__APPLE__)
  /// mmap() for reading and writing, kept from children; `flags` are MAP_…. Its failure has the errno.
  static Result<std::shared_ptr<Region>> map(size_t bytes, int flags, int fd = -1, int64_t offset = 0);
#endif

 private:
  std::byte* base_;
  size_t bytes_;
  Free free_;
};

/// A piece of a region that one batch's offsets count in. At most kMaxSegmentBytes long.
struct Segment {
  std::shared_ptr<Region> region;
  std::byte* base = nullptr;
  size_t bytes = 0;
};

}  // namespace ringtap
