// Memory for packets that came in fragments: first in, first out.
#pragma once

#include <cstdint>
#include <optional>

namespace ringtap::dpdk {

class JoinedArea {
 public:
  JoinedArea(uint32_t offset, uint32_t bytes) : offset_(offset), size_(bytes) {}

  uint32_t offset() const noexcept { return offset_; }

  struct Piece {
    uint32_t offset;  // in the region
    uint32_t bytes;   // to give back: with the gap in front of it
  };

  std::optional<Piece> take(uint32_t bytes) noexcept {
    bytes = (bytes + 63) & ~63u;
    const uint32_t gap = bytes > size_ - at_ ? size_ - at_ : 0;
    if (gap + bytes > size_ - used_) return std::nullopt;
    if (gap != 0) at_ = 0;
    const Piece piece{offset_ + at_, gap + bytes};
    at_ += bytes;
    if (at_ == size_) at_ = 0;
    used_ += piece.bytes;
    return piece;
  }
  /// In the order in which they were taken.
  void give_back(uint32_t bytes) noexcept { used_ -= bytes; }

 private:
  const uint32_t offset_;
  const uint32_t size_;
  uint32_t at_ = 0;
  uint32_t used_ = 0;
};

}  // namespace ringtap::dpdk
