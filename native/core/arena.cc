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
      leases_(chunks) {
  free_.reserve(chunks);
  for (uint32_t i = chunks; i-- > 0;) free_.push_back(i);
}

Lease Arena::lend() noexcept {
  const uint32_t chunk = free_.back();
  free_.pop_back();
  return *leases_.acquire(chunk);
}

bool Arena::release(Lease lease) noexcept {
  const auto chunk = leases_.release(lease);
  if (!chunk) return false;
  free_.push_back(*chunk);
  return true;
}

}  // namespace ringtap
