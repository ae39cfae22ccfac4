#include "backends/afpacket/ring.h"

#include <algorithm>

namespace ringtap::afpacket {

namespace {

// A header with its address and at least no packet.
constexpr uint32_t kMinFrame = kFrameHead;

tpacket_hdr_v1* header_of(std::byte* block) {
  // SAFETY: every block begins with a tpacket_block_desc, page aligned.
  return &reinterpret_cast<tpacket_block_desc*>(block)->hdr.bh1;
}

}  // namespace

Ring::Ring(std::shared_ptr<Region> region, uint32_t block_bytes, uint32_t block_count)
    : region_(std::move(region)),
      block_bytes_(block_bytes),
      block_count_(block_count),
      blocks_per_segment_(static_cast<uint32_t>(kMaxSegmentBytes / block_bytes)),
      state_(block_count) {}

std::vector<Segment> Ring::segments() const {
  std::vector<Segment> result;
  for (uint32_t block = 0; block < block_count_; block += blocks_per_segment_) {
    const uint32_t blocks = std::min(blocks_per_segment_, block_count_ - block);
    result.push_back({region_, block_base(block), size_t{blocks} * block_bytes_});
  }
  return result;
}

Ring::Next Ring::advance() noexcept {
  if (state_[following_].ours) return Next::kHeld;
  std::byte* base = block_base(following_);
  tpacket_hdr_v1* header = header_of(base);
  // SAFETY: pairs with the kernel's store of the status after it has filled the block.
  if ((__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) return Next::kEmpty;
  const uint32_t first = *static_cast<volatile __u32*>(&header->offset_to_first_pkt);
  const uint32_t packets = *static_cast<volatile __u32*>(&header->num_pkts);
  current_ = following_;
  following_ = following_ + 1 == block_count_ ? 0 : following_ + 1;
  state_[current_].ours = true;
  walk_ = Walk(base, block_bytes_, std::min(first, block_bytes_), std::min(packets, block_bytes_ / kMinFrame));
  settle();
  return Next::kReady;
}

void Ring::give_back(uint32_t block) noexcept {
  state_[block].leases--;
  return_if_done(block);
}

void Ring::settle() noexcept { return_if_done(current_); }

void Ring::return_if_done(uint32_t block) noexcept {
  BlockState& state = state_[block];
  if (!state.ours || state.leases > 0 || (block == current_ && has_packets())) return;
  state.ours = false;
  // SAFETY: hands the block to the kernel; our reads of it come before.
  __atomic_store_n(&header_of(block_base(block))->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

}  // namespace ringtap::afpacket
