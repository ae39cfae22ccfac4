#include "backends/dpdk/module/memory.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

#include <vector>

#include "backends/dpdk/module/eal_arguments.h"
#include "backends/dpdk/module/log.h"

namespace ringtap::dpdk {

namespace {

constexpr uint64_t kPage = 2 << 20;          // every huge page is a multiple of it
constexpr uint64_t kJoinedBytes = 16 << 20;  // 256 packets of 64 KiB
constexpr uint32_t kCache = RTE_MEMPOOL_CACHE_MAX_SIZE;

uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

/// Whether the device wants physical addresses: buffers must then not cross a page.
bool physical() { return rte_eal_iova_mode() == RTE_IOVA_PA && rte_eal_has_hugepages() != 0; }

uint64_t buffer_bytes(const MemoryPlan& plan) {
  if (!physical()) return uint64_t{plan.mbufs} * plan.room;
  const uint64_t each = kPage / plan.room;
  return (plan.mbufs + each - 1) / each * kPage;
}

std::vector<rte_pktmbuf_extmem> pieces(std::byte* base, uint64_t bytes, uint64_t iova, uint16_t room) {
  std::vector<rte_pktmbuf_extmem> list;
  const uint64_t step = physical() ? kPage : bytes;
  for (uint64_t at = 0; at < bytes; at += step) {
    const uint64_t where = physical() ? rte_mem_virt2iova(base + at) : iova + at;
    list.push_back({.buf_ptr = base + at, .buf_iova = where, .buf_len = step, .elt_size = room});
  }
  return list;
}

Error no_memory(const std::string& uri, uint64_t bytes, const LogMark& mark) {
  const std::string megabytes = std::to_string((bytes >> 20) + 1) + " MB";
  if (rte_eal_has_hugepages() == 0) {
    return {.code = Code::kNoMemory,
            .message = mark.explain(uri + ": no " + megabytes + " for packets are left of what DPDK was started with"),
            .hint = "Lower mbufs, or give the first capture eal=\"-m MEGABYTES\".",
            .syscall = "rte_memzone_reserve",
            .err = rte_errno};
  }
  return {.code = Code::kNoMemory,
          .message = mark.explain(uri + ": too few huge pages: " + megabytes + " are needed for packets, " +
                                  std::to_string(free_huge_bytes() >> 20) + " MB are free"),
          .hint =
              "Lower mbufs, reserve more pages (/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages), or use "
              "ordinary memory: hugePages=off.",
          .syscall = "rte_memzone_reserve",
          .err = rte_errno};
}

}  // namespace

Result<PacketMemory> PacketMemory::reserve(const std::string& uri, const MemoryPlan& plan) {
  const uint64_t buffers = buffer_bytes(plan);
  const uint64_t bytes = round_up(buffers + kJoinedBytes, kPage);
  if (bytes > kMaxSegmentBytes) {
    return Error{.code = Code::kBadOption,
                 .message = uri + ": " + std::to_string(plan.mbufs) + " packets of " + std::to_string(plan.room) +
                            " bytes are more than the 2 GiB of one capture",
                 .hint = "Lower mbufs or mtu."};
  }
  const LogMark mark;
  const rte_memzone* zone = rte_memzone_reserve_aligned(plan.name.c_str(), bytes, plan.socket, 0, kPage);
  if (zone == nullptr) zone = rte_memzone_reserve_aligned(plan.name.c_str(), bytes, SOCKET_ID_ANY, 0, kPage);
  if (zone == nullptr) return no_memory(uri, bytes, mark);
  auto* base = static_cast<std::byte*>(zone->addr);
  const auto list = pieces(base, buffers, zone->iova, static_cast<uint16_t>(plan.room));
  rte_mempool* pool =
      rte_pktmbuf_pool_create_extbuf(plan.name.c_str(), plan.mbufs, kCache, 0, static_cast<uint16_t>(plan.room),
                                     zone->socket_id, list.data(), static_cast<unsigned>(list.size()));
  if (pool == nullptr) {
    rte_memzone_free(zone);
    return no_memory(uri, uint64_t{plan.mbufs} * 256, mark);
  }
  keep_from_children(base, bytes);
  auto region = std::make_shared<Region>(base, bytes, [zone, pool](std::byte*, size_t) {
    rte_mempool_free(pool);
    rte_memzone_free(zone);
  });
  return PacketMemory(pool, std::move(region), static_cast<uint32_t>(buffers));
}

Result<Pool> plain_pool(const std::string& uri, const MemoryPlan& plan) {
  const LogMark mark;
  Pool pool(
      rte_pktmbuf_pool_create(plan.name.c_str(), plan.mbufs, 256, 0, static_cast<uint16_t>(plan.room), plan.socket));
  if (!pool) return no_memory(uri, uint64_t{plan.mbufs} * (plan.room + 256), mark);
  return pool;
}

}  // namespace ringtap::dpdk
