// The memory that all interfaces of a forwarder share, so that a frame which came in on one goes out on another.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/afxdp/xsk.h"

namespace ringtap::afxdp {

/// One frame is in one place only: free, with the kernel (in a fill ring, a TX ring, or between), or in hand. One
/// thread.
class InlineFrames {
 public:
  explicit InlineFrames(Umem umem) : umem_(std::move(umem)), in_hand_(umem_.frames) {
    free_.reserve(umem_.frames);
    for (uint32_t frame = umem_.frames; frame > 0; frame--) free_.push_back(uint64_t{frame - 1} * umem_.frame_bytes);
  }

  const Umem& umem() const noexcept { return umem_; }
  std::byte* at(uint64_t address) const noexcept { return umem_.region->base() + address; }

  /// One that is free.
  std::optional<uint64_t> take() noexcept {
    if (free_.empty()) return std::nullopt;
    const uint64_t address = free_.back();
    free_.pop_back();
    return address;
  }
  /// From the kernel, or never given to it. Any address within.
  void give(uint64_t address) noexcept { free_.push_back(address & ~uint64_t{umem_.frame_bytes - 1}); }

  /// It has arrived.
  void receive(uint64_t address) noexcept { in_hand_[number(address)] = true; }
  /// Where the bytes lie, if they are all in one frame that is in hand; it is not any more.
  std::optional<uint64_t> send(std::span<const std::byte> bytes) noexcept {
    const auto address = reinterpret_cast<uintptr_t>(bytes.data()) - reinterpret_cast<uintptr_t>(at(0));
    if (address >= uint64_t{umem_.frames} * umem_.frame_bytes || !in_hand_[number(address)]) return std::nullopt;
    if (bytes.size() > umem_.frame_bytes - address % umem_.frame_bytes) return std::nullopt;
    in_hand_[number(address)] = false;
    return address;
  }
  /// Nobody has sent it: it is free.
  void discard(uint64_t address) noexcept {
    if (!in_hand_[number(address)]) return;
    in_hand_[number(address)] = false;
    give(address);
  }

 private:
  size_t number(uint64_t address) const noexcept { return address / umem_.frame_bytes; }

  const Umem umem_;
  std::vector<uint64_t> free_;
  std::vector<bool> in_hand_;
};

}  // namespace ringtap::afxdp
