#include "core/arena.h"

#include <algorithm>

namespace ringtap {

Result<Arena> Arena::allocate(uint64_t buffer_bytes, uint32_t max_packet) {
  constexpr uint64_t kMiB = 1 << 20;
  const uint64_t wanted = std::clamp<uint64_t>(buffer_bytes / 4, 4 * kMiB, kMaxSegmentBytes);
  const auto chunks = static_cast<uint32_t>(std::clamp<uint64_t>(wanted / kMiB, 8, 64));
  const uint64_t bytes = std::max(wanted, uint64_t{chunks} * max_packet);
  auto region = Region::allocate(bytes);
  if (!region) return std::move(region).error();
  return Arena(*std::move(region), chunks);
}

Arena::Arena(std::shared_ptr<Region> region, uint32_t chunks)
    : region_(std::move(region)),
      chunk_bytes_(static_cast<uint32_t>(region_->bytes() / chunks) & ~63u),
      leases_(chunks) {}

}  // namespace ringtap
