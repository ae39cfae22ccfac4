// Writing past the page cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "core/region.h"

namespace ringtap {

/// Writes a regular file from its beginning with O_DIRECT: whole pages at once, and what is left of the last page
/// through the cache, so that the file ends with what was written at any moment. The descriptor is its owner's.
class DirectWriting {
 public:
  /// UNSUPPORTED where the file system cannot.
  static Result<std::unique_ptr<DirectWriting>> begin(int fd, const std::string& path);

  /// Answers how many of the bytes are in the file; errno says why when these are not all.
  size_t write(std::span<const std::byte> bytes) noexcept;

  /// Bytes that the file has.
  uint64_t size() const noexcept { return size_; }
  /// The descriptor is as it was before, and what comes is written as to any other file.
  void end() noexcept;

 private:
  DirectWriting(int fd, std::shared_ptr<Region> memory) : fd_(fd), memory_(std::move(memory)) {}

  bool set_direct(bool direct) noexcept;
  size_t past_cache(const std::byte* bytes, size_t count, uint64_t at) noexcept;
  size_t through_cache(const std::byte* bytes, size_t count) noexcept;

  const int fd_;
  const std::shared_ptr<Region> memory_;  // begins with what the last page of the file has, if that is not full
  bool is_direct_ = false;                // the descriptor is
  bool ended_ = false;
  uint64_t size_ = 0;
};

}  // namespace ringtap
