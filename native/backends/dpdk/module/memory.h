// The packet memory of one port: what drivers write into and JavaScript reads.
#pragma once

#include <rte_mempool.h>

#include <memory>
#include <string>

#include "core/region.h"

struct rte_mbuf;

namespace ringtap::dpdk {

struct MemoryPlan {
  std::string name;    // of the pool: unique in the process, at most 20 characters
  uint32_t mbufs = 0;  // packets
  uint32_t room = 0;   // bytes of one packet, headroom included
  int socket = 0;      // NUMA node
};

/// A pool whose packet buffers lie in one piece without their headers, which JavaScript must not reach, and beside them
/// room for packets that came in fragments.
class PacketMemory {
 public:
  static Result<PacketMemory> reserve(const std::string& uri, const MemoryPlan& plan);

  rte_mempool* pool() const noexcept { return pool_; }
  /// Frees pool and memory with its last owner.
  const std::shared_ptr<Region>& region() const noexcept { return region_; }
  /// Where joined packets go: from this offset to the region's end.
  uint32_t joined_offset() const noexcept { return joined_offset_; }

 private:
  PacketMemory(rte_mempool* pool, std::shared_ptr<Region> region, uint32_t joined_offset)
      : pool_(pool), region_(std::move(region)), joined_offset_(joined_offset) {}

  rte_mempool* pool_;
  std::shared_ptr<Region> region_;
  uint32_t joined_offset_;
};

struct FreePool {
  void operator()(rte_mempool* pool) const noexcept { rte_mempool_free(pool); }
};
using Pool = std::unique_ptr<rte_mempool, FreePool>;

/// A pool with headers and buffers side by side, for what JavaScript never sees.
Result<Pool> plain_pool(const std::string& uri, const MemoryPlan& plan);

}  // namespace ringtap::dpdk
