// The memory that packets are copied into: equal chunks, each lent whole.
#pragma once

#include <cstdint>
#include <memory>

#include "core/lease.h"
#include "core/region.h"

namespace ringtap {

class Arena {
 public:
  /// A quarter of the capture buffer, at least 4 MiB, in 8 to 64 chunks that each hold a packet of `max_packet` bytes.
  static Result<Arena> allocate(uint64_t buffer_bytes, uint32_t max_packet);

  const std::shared_ptr<Region>& region() const noexcept { return region_; }
  uint32_t chunks() const noexcept { return leases_.capacity(); }
  uint32_t chunk_bytes() const noexcept { return chunk_bytes_; }

  /// No chunk is free.
  bool exhausted() const noexcept { return leases_.full(); }
  /// Where the next batch goes, as an offset into the region. Not when exhausted().
  uint32_t next_offset() const noexcept { return leases_.next() * chunk_bytes_; }
  /// Lends that chunk until release(lease).
  Lease lend() noexcept { return *leases_.acquire(leases_.next()); }
  bool release(Lease lease) noexcept { return leases_.release(lease).has_value(); }

 private:
  Arena(std::shared_ptr<Region> region, uint32_t chunks);

  std::shared_ptr<Region> region_;
  uint32_t chunk_bytes_;
  LeaseTable leases_;  // a lease's number is its chunk's
};

}  // namespace ringtap
