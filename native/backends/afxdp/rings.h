// The four rings of an AF_XDP socket. They lie outside the memory that JS can see.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "backends/afxdp/abi.h"
#include "core/region.h"

namespace ringtap::afxdp {

/// A mapped ring of `T` between the kernel and us. One side of it is ours alone.
template <class T>
class Ring {
 public:
  Ring() = default;
  Ring(std::shared_ptr<Region> map, const xdp_ring_offset& offset, uint32_t entries)
      : map_(std::move(map)),
        // SAFETY: offsets are the kernel's own answer to XDP_MMAP_OFFSETS for this mapping.
        producer_(reinterpret_cast<uint32_t*>(map_->base() + offset.producer)),
        consumer_(reinterpret_cast<uint32_t*>(map_->base() + offset.consumer)),
        flags_(reinterpret_cast<uint32_t*>(map_->base() + offset.flags)),
        entries_(reinterpret_cast<T*>(map_->base() + offset.desc)),
        size_(entries) {}

  T& operator[](uint32_t position) const noexcept { return entries_[position & (size_ - 1)]; }
  uint32_t size() const noexcept { return size_; }
  bool needs_wakeup() const noexcept {
    return (std::atomic_ref(*flags_).load(std::memory_order_relaxed) & XDP_RING_NEED_WAKEUP) != 0;
  }

  uint32_t produced() const noexcept { return std::atomic_ref(*producer_).load(std::memory_order_acquire); }
  uint32_t consumed() const noexcept { return std::atomic_ref(*consumer_).load(std::memory_order_acquire); }
  void publish(uint32_t producer) const noexcept {
    std::atomic_ref(*producer_).store(producer, std::memory_order_release);
  }
  void retire(uint32_t consumer) const noexcept {
    std::atomic_ref(*consumer_).store(consumer, std::memory_order_release);
  }

 private:
  std::shared_ptr<Region> map_;
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  uint32_t* flags_ = nullptr;
  T* entries_ = nullptr;
  uint32_t size_ = 0;
};

}  // namespace ringtap::afxdp
