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
#include <utility>
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

/// Room to ask the kernel for before each packet. None: it leaves 14 bytes before an Ethernet frame, enough for a VLAN
/// tag, and 28 before a cooked packet, enough for an SLL2 header and a tag. More would only cost cache lines.
inline constexpr uint32_t kHeadroom = 0;
/// Where the sockaddr_ll of a packet lies, counted from its header.
inline constexpr uint32_t kAddressAt = TPACKET_ALIGN(sizeof(tpacket3_hdr));
/// The first byte of a frame that we may write to.
inline constexpr uint32_t kFrameHead = kAddressAt + sizeof(sockaddr_ll);

/// A walk over the packets of one block. A value, so that a loop can keep it in registers: with each step in memory,
/// the way from one header to the next would cost more than all the rest.
class Walk {
 public:
  Walk() = default;
  Walk(std::byte* block, uint32_t block_bytes, uint32_t first, uint32_t packets)
      : block_(block), block_bytes_(block_bytes), cursor_(first), remaining_(packets) {}

  bool has_packets() const noexcept { return remaining_ > 0; }
  uint32_t remaining() const noexcept { return remaining_; }
  /// The current header's address, and its offset within the block.
  std::byte* at() const noexcept { return block_ + cursor_; }
  uint32_t offset() const noexcept { return cursor_; }

  /// Reads the current header. Nothing when it points outside its block.
  std::optional<Frame> peek() const noexcept;
  /// Steps over the packet that peek() showed.
  void pop(const Frame& frame) noexcept {
    remaining_--;
    if (remaining_ > 0) cursor_ += frame.next;
  }
  /// Gives up on the rest of the block; returns how many packets that was.
  uint32_t skip() noexcept { return std::exchange(remaining_, 0); }

 private:
  /// SAFETY: one load, wherever the field lies, so that a second look cannot differ.
  template <class T>
  static T once(const std::byte* field) noexcept {
    struct __attribute__((packed, may_alias)) Anywhere {
      T value;
    };
    return reinterpret_cast<const volatile Anywhere*>(field)->value;
  }

  std::byte* block_ = nullptr;
  uint32_t block_bytes_ = 0;
  uint32_t cursor_ = 0;
  uint32_t remaining_ = 0;
};

inline std::optional<Frame> Walk::peek() const noexcept {
  const uint32_t room = block_bytes_ - cursor_;
  if (room < kFrameHead) return std::nullopt;
  // SAFETY: the header is within the block.
  const std::byte* h = at();
  const Frame frame{.next = once<uint32_t>(h + offsetof(tpacket3_hdr, tp_next_offset)),
                    .data = once<uint16_t>(h + offsetof(tpacket3_hdr, tp_mac)),
                    .caplen = once<uint32_t>(h + offsetof(tpacket3_hdr, tp_snaplen)),
                    .wirelen = once<uint32_t>(h + offsetof(tpacket3_hdr, tp_len)),
                    .seconds = once<uint32_t>(h + offsetof(tpacket3_hdr, tp_sec)),
                    .nanoseconds = once<uint32_t>(h + offsetof(tpacket3_hdr, tp_nsec)),
                    .status = once<uint32_t>(h + offsetof(tpacket3_hdr, tp_status)),
                    .hash = once<uint32_t>(h + offsetof(tpacket3_hdr, hv1.tp_rxhash)),
                    .vlan_tci = static_cast<uint16_t>(once<uint32_t>(h + offsetof(tpacket3_hdr, hv1.tp_vlan_tci))),
                    .vlan_tpid = once<uint16_t>(h + offsetof(tpacket3_hdr, hv1.tp_vlan_tpid))};
  if (frame.data < kFrameHead || frame.data > room || frame.caplen > room - frame.data) return std::nullopt;
  if (remaining_ > 1 && (frame.next < kFrameHead || frame.next > room)) return std::nullopt;
  return frame;
}

class Ring {
 public:
  Ring(std::shared_ptr<Region> region, uint32_t block_bytes, uint32_t block_count);

  /// The ring as pieces that an ArrayBuffer can show, each a whole number of blocks.
  std::vector<Segment> segments() const;

  enum class Next : uint8_t { kReady, kEmpty, kHeld };
  /// Makes the next filled block the current one. kHeld: the block is still lent, the ring is exhausted.
  Next advance() noexcept;

  /// What is left of the current block.
  const Walk& walk() const noexcept { return walk_; }
  void set_walk(const Walk& walk) noexcept { walk_ = walk; }
  bool has_packets() const noexcept { return walk_.has_packets(); }
  uint32_t remaining() const noexcept { return walk_.remaining(); }
  std::byte* at() const noexcept { return walk_.at(); }
  std::optional<Frame> peek() const noexcept { return walk_.peek(); }
  void pop(const Frame& frame) noexcept { walk_.pop(frame); }
  uint32_t skip_block() noexcept { return walk_.skip(); }

  uint32_t block_count() const noexcept { return block_count_; }
  uint32_t block() const noexcept { return current_; }
  uint32_t segment() const noexcept { return current_ / blocks_per_segment_; }
  /// Where the current block begins in its segment.
  uint32_t offset_in_segment() const noexcept { return current_ % blocks_per_segment_ * block_bytes_; }

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
  Walk walk_;
};

}  // namespace ringtap::afpacket
