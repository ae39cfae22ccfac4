// The memory that several traces are read into: one region, so that a batch may have packets of all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "backends/file/chunks.h"
#include "core/region.h"

namespace ringtap::file {

/// A slot is a few chunks. It is taken by the thread that opens a trace, and given back wherever the last packet of it
/// is released.
///
/// WHY the first chunks of all slots are side by side, then the second ones …: mostly none but the first is used, and
/// the pages of the others, huge ones too, are never there.
class Slots {
 public:
  static constexpr uint32_t kChunks = 4;

  Slots(std::shared_ptr<Region> region, uint32_t count, uint32_t chunk_bytes)
      : region_(std::move(region)), count_(count), chunk_bytes_(chunk_bytes) {
    for (uint32_t slot = count; slot > 0; slot--) free_.push_back(slot - 1);
  }

  const std::shared_ptr<Region>& region() const noexcept { return region_; }
  uint32_t count() const noexcept { return count_; }

  /// The one that was given back last; nothing when all are taken.
  std::optional<uint32_t> take() {
    const std::scoped_lock lock(mutex_);
    if (free_.empty()) return std::nullopt;
    const uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void give(uint32_t slot) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(slot);
  }

  Chunks::Layout layout(uint32_t slot) const {
    return {.region = region_,
            .count = kChunks,
            .bytes = chunk_bytes_,
            .first = slot * chunk_bytes_,
            .stride = count_ * chunk_bytes_};
  }

 private:
  const std::shared_ptr<Region> region_;
  const uint32_t count_;
  const uint32_t chunk_bytes_;
  std::mutex mutex_;
  std::vector<uint32_t> free_;
};

}  // namespace ringtap::file
