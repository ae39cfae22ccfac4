// The memory that a trace is read into: a few chunks of one region, reused as leases come back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/lease.h"

namespace ringtap {

/// Unread bytes are [pos, end) from the base, all in the current chunk. A lease pins the chunk that its packets are
/// in: pinned bytes are never written.
///
/// As many leases as there are chunks may be out. That is safe with no chunk to spare: room is only made
/// while one more lease may be given, so at most count - 1 chunks are pinned, and either the current chunk
/// is not pinned and is reused in place, or it is one of the pinned ones and another one is free.
class Chunks {
 public:
  Chunks(std::byte* base, uint32_t chunk_bytes, uint32_t count)
      : base_(base), chunk_bytes_(chunk_bytes), pins_(count, 0), leases_(count) {}

  uint32_t chunk_bytes() const noexcept { return chunk_bytes_; }
  uint32_t count() const noexcept { return static_cast<uint32_t>(pins_.size()); }
  bool all_leased() const noexcept { return leases_.full(); }

  /// A lease on the current chunk, or 0 when all are out.
  Lease lend() {
    const auto lease = leases_.acquire(current_);
    if (!lease) return 0;
    pins_[current_]++;
    return *lease;
  }

  bool release(Lease lease) {
    const auto chunk = leases_.release(lease);
    if (!chunk) return false;
    pins_[*chunk]--;
    return true;
  }

  /// Space to append to the unread bytes: at least `bytes`, which fit a chunk together with them. Moves pos
  /// and end when the unread bytes have to go elsewhere. Takes at most count - 1 leases to be out.
  ///
  /// WHY file_offset, of what will be read: copies are up to four times slower when the destination is a few
  /// bytes ahead of the source modulo a page, so it goes half a page away from there, if there is room.
  struct Room {
    std::byte* at;
    uint32_t bytes;
  };
  Room make_room(uint32_t& pos, uint32_t& end, uint32_t bytes, uint64_t file_offset) noexcept {
    const bool pinned = pins_[current_] != 0;
    if (!pinned || limit() - end < bytes) {
      if (pinned) current_ = unpinned();
      const uint32_t unread = end - pos;
      const auto shift = static_cast<uint32_t>((file_offset + kPage / 2 - unread) % kPage);
      const uint32_t start = current_ * chunk_bytes_ + (shift + unread + bytes <= chunk_bytes_ ? shift : 0);
      if (start != pos) std::memmove(base_ + start, base_ + pos, unread);
      pos = start;
      end = start + unread;
    }
    return {base_ + end, limit() - end};
  }

 private:
  static constexpr uint32_t kPage = 4096;

  uint32_t unpinned() const noexcept {
    uint32_t chunk = 0;
    while (pins_[chunk] != 0) chunk++;
    return chunk;
  }

  uint32_t limit() const noexcept { return (current_ + 1) * chunk_bytes_; }

  std::byte* base_;
  uint32_t chunk_bytes_;
  uint32_t current_ = 0;
  std::vector<uint32_t> pins_;
  LeaseTable leases_;
};

}  // namespace ringtap
