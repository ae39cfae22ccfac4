// The memory that a trace is read into: a few chunks of one region, reused as leases come back, and larger ones for
// records that do not fit them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/lease.h"
#include "core/region.h"

namespace ringtap::file {

/// Unread bytes are [pos, end) from base(), all in the current chunk. A lease pins the chunk that its packets are
/// in: pinned bytes are never written.
///
/// As many leases as there are chunks at first may be out. That is safe with no chunk to spare: room is only made
/// while one more lease may be given, so at most count - 1 chunks are pinned, and either the current chunk
/// is not pinned and is reused in place, or it is one of the pinned ones and another one is free.
class Chunks {
 public:
  /// Equal pieces of a region, `stride` bytes from each other.
  struct Layout {
    std::shared_ptr<Region> region;
    uint32_t count = 0;
    uint32_t bytes = 0;  // of each
    uint32_t first = 0;  // where the first one is
    uint32_t stride = 0;
  };
  explicit Chunks(const Layout& layout) : chunk_bytes_(layout.bytes), leases_(layout.count) {
    for (uint32_t i = 0; i < layout.count; i++) {
      chunks_.push_back(
          {.region = layout.region, .segment = 0, .start = layout.first + i * layout.stride, .bytes = layout.bytes});
    }
  }

  uint32_t chunk_bytes() const noexcept { return chunk_bytes_; }
  uint32_t count() const noexcept { return static_cast<uint32_t>(chunks_.size()); }
  uint32_t max_leases() const noexcept { return leases_.capacity(); }
  bool all_leased() const noexcept { return leases_.full(); }

  /// Of the current chunk.
  const std::shared_ptr<Region>& region() const noexcept { return chunks_[current_].region; }
  std::byte* base() const noexcept { return region()->base(); }
  uint32_t segment() const noexcept { return chunks_[current_].segment; }

  /// A lease on the current chunk, or 0 when all are out.
  Lease lend() {
    const auto lease = leases_.acquire(current_);
    if (!lease) return 0;
    chunks_[current_].pins++;
    return *lease;
  }

  bool release(Lease lease) {
    const auto chunk = leases_.release(lease);
    if (!chunk) return false;
    chunks_[*chunk].pins--;
    return true;
  }

  /// Whether so many bytes have a chunk to be in, if make_room() is asked for them.
  bool fits(uint32_t bytes) const noexcept { return smallest(bytes).has_value(); }

  /// A chunk that is a segment of its own.
  void add(std::shared_ptr<Region> region, uint32_t segment) {
    const auto bytes = static_cast<uint32_t>(region->bytes());
    chunks_.push_back({.region = std::move(region), .segment = segment, .start = 0, .bytes = bytes});
  }

  /// Lets go of the memory: nothing is read or lent any more.
  void forget() noexcept {
    for (Chunk& chunk : chunks_) chunk.region.reset();
  }

  /// Space to append to the unread bytes: at least `bytes`, which fit a chunk together with them. Moves pos,
  /// end and base() when the unread bytes have to go elsewhere. Takes at most count - 1 leases to be out.
  ///
  /// WHY file_offset, of what will be read: copies are up to four times slower when the destination is a few
  /// bytes ahead of the source modulo a page, so it goes half a page away from there, if there is room.
  struct Room {
    std::byte* at = nullptr;
    uint32_t bytes = 0;
  };
  Room make_room(uint32_t& pos, uint32_t& end, uint32_t bytes, uint64_t file_offset) noexcept {
    const uint32_t unread = end - pos;
    const uint32_t best = smallest(unread + bytes).value_or(current_);
    // A large chunk is left as soon as a small one will do, which the processor's caches hold.
    const bool stays = chunks_[current_].pins == 0 && chunks_[current_].bytes == chunks_[best].bytes;
    if (!stays || limit() - end < bytes) {
      const std::byte* const from = base() + pos;
      if (!stays) current_ = best;
      const Chunk& chunk = chunks_[current_];
      const auto shift = static_cast<uint32_t>((file_offset + kPage / 2 - unread) % kPage);
      pos = chunk.start + (shift + unread + bytes <= chunk.bytes ? shift : 0);
      if (base() + pos != from) std::memmove(base() + pos, from, unread);
      end = pos + unread;
    }
    return {.at = base() + end, .bytes = limit() - end};
  }

 private:
  static constexpr uint32_t kPage = 4096;

  struct Chunk {
    std::shared_ptr<Region> region;
    uint32_t segment = 0;
    uint32_t start = 0;  // in the segment
    uint32_t bytes = 0;
    uint32_t pins = 0;
  };

  /// The smallest chunk of so many bytes that is not pinned.
  std::optional<uint32_t> smallest(uint32_t bytes) const noexcept {
    std::optional<uint32_t> best;
    for (uint32_t i = 0; i < chunks_.size(); i++) {
      const Chunk& chunk = chunks_[i];
      if (chunk.pins == 0 && chunk.bytes >= bytes && (!best || chunk.bytes < chunks_[*best].bytes)) best = i;
    }
    return best;
  }

  uint32_t limit() const noexcept { return chunks_[current_].start + chunks_[current_].bytes; }

  uint32_t chunk_bytes_;
  uint32_t current_ = 0;
  std::vector<Chunk> chunks_;
  LeaseTable leases_;
};

}  // namespace ringtap::file
