// The TPACKET_V3 ring: blocks that the kernel fills and we give back.
//
// JS can write every byte of it, so each field is copied once and checked before it is used, and no pointer is
// ever taken from it. Which blocks are lent is kept in our own memory.
#pragma once

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/region.h"

namespace ringtap::afpacket {

/// A packet header, copied out of the ring and checked against its block.
struct Frame {
  uint32_t next;  // offset from this header to the next one
  uint32_t data;  // offset from this header to the packet's first byte
  uint32_t caplen;
  uint32_t wirelen;
  uint32_t seconds;
  uint32_t nanoseconds;
  uint32_t status;
  uint32_t hash;
  uint16_t vlan_tci;
  uint16_t vlan_tpid;
};

/// Room we ask the kernel to leave before each packet: a VLAN tag or an SLL2 header goes there.
inline constexpr uint32_t kHeadroom = 32;
/// Where the sockaddr_ll of a packet lies, counted from its header.
inline constexpr uint32_t kAddressAt = TPACKET_ALIGN(sizeof(tpacket3_hdr));
/// The first byte of a frame that we may write to.
inline constexpr uint32_t kFrameHead = kAddressAt + sizeof(sockaddr_ll);

class Ring {
 public:
  Ring(std::shared_ptr<Region> region, uint32_t block_bytes, uint32_t block_count);

  /// The ring as pieces that an ArrayBuffer can show, each a whole number of blocks.
  std::vector<Segment> segments() const;

  enum class Next : uint8_t { kReady, kEmpty, kHeld };
  /// Makes the next filled block the current one. kHeld: the block is still lent, the ring is exhausted.
  Next advance() noexcept;

  bool has_packets() const noexcept { return remaining_ > 0; }
  uint32_t remaining() const noexcept { return remaining_; }
  uint32_t block() const noexcept { return current_; }
  uint32_t segment() const noexcept { return current_ / blocks_per_segment_; }
  /// The current header's address, and its offset within the segment.
  std::byte* at() const noexcept { return block_base(current_) + cursor_; }
  uint32_t offset_in_segment() const noexcept { return current_ % blocks_per_segment_ * block_bytes_ + cursor_; }

  /// Reads the current header. Nothing when it points outside its block.
  std::optional<Frame> peek() const noexcept;
  /// Steps over the packet that peek() showed.
  void pop(const Frame& frame) noexcept;
  /// Gives up on the rest of the current block; returns how many packets that was.
  uint32_t skip_block() noexcept;

  void lend() noexcept { state_[current_].leases++; }
  void give_back(uint32_t block) noexcept;
  /// After a walk that lent nothing from the current block.
  void settle() noexcept;

 private:
  struct BlockState {
    uint32_t leases = 0;
    bool ours = false;
  };

  std::byte* block_base(uint32_t block) const noexcept { return region_->base() + size_t{block} * block_bytes_; }
  void return_if_done(uint32_t block) noexcept;

  std::shared_ptr<Region> region_;
  const uint32_t block_bytes_;
  const uint32_t block_count_;
  const uint32_t blocks_per_segment_;
  std::vector<BlockState> state_;
  uint32_t current_ = 0;
  uint32_t following_ = 0;  // the block that the kernel fills next after current_
  uint32_t cursor_ = 0;
  uint32_t remaining_ = 0;
};

}  // namespace ringtap::afpacket
