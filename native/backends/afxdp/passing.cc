// Passing on: received frames into the TX ring, as they lie, and from there back to the fill rings.
#include <algorithm>
#include <utility>

#include "backends/afxdp/source.h"

namespace ringtap::afxdp {

namespace {

/// So many are handed over together: their packets are still in the cache.
constexpr uint32_t kTogether = 64;

}  // namespace

/// Where a packet lies that may be passed on. Nothing where its frame is not this lease's any more, or a quarter of the
/// queue's frames is under way. WHY: half of them may be lent besides, and the kernel has to have some.
std::optional<uint64_t> AfXdp::place_of(Lease lease, const Passing& packet) const noexcept {
  const auto number = leases_.find(lease);
  if (!number || !link_ || !tx_) return std::nullopt;
  const Lent& lent = lent_[*number];
  if (packet.index >= lent.addresses.size() || packet.frame.empty()) return std::nullopt;
  const uint64_t address = lent.addresses[packet.index];
  if ((address & kPassedOn) != 0 || queues_[lent.queue]->under_way >= std::max(1u, share() / 4)) return std::nullopt;
  // SAFETY: what the packet says of its place is JavaScript's: it must lie within the frame that the lease has for it.
  const uint64_t frame = frame_of(address) * uint64_t{settings_.frame_bytes};
  const uint64_t place =
      reinterpret_cast<uintptr_t>(packet.frame.data()) - reinterpret_cast<uintptr_t>(umem_.region->base());
  if (place < frame + kEditRoom || place >= frame + settings_.frame_bytes) return std::nullopt;
  if (packet.frame.size() > frame + settings_.frame_bytes - place) return std::nullopt;
  return place;
}

bool AfXdp::can_pass_on(Lease lease, const Passing& packet) const noexcept {
  return place_of(lease, packet).has_value();
}

/// The frame as it is to be sent; nothing where it must not be, which is counted.
std::optional<TxFrame> AfXdp::edited(const Passing& packet, uint64_t place, FrameEdit* edit) noexcept {
  TxFrame frame = packet.frame;
  if (edit != nullptr) {
    frame = edit->apply({umem_.region->base() + place - kEditRoom, frame.size() + kEditRoom});
    if (frame.empty()) {
      tx_->refuse(TxFailure::kTtl);
      return std::nullopt;
    }
  }
  const auto failure = tx_->limits().refuses(frame);
  if (!failure) return frame;
  tx_->refuse(*failure);
  return std::nullopt;
}

Result<uint32_t> AfXdp::pass_on(Lease lease, std::span<const Passing> packets, FrameEdit* edit) noexcept {
  const auto number = leases_.find(lease);
  if (!number || !tx_) return 0u;
  if (auto flushed = tx_->flush(); !flushed) return std::move(flushed).error();
  take_back_sent();
  Lent& lent = lent_[*number];
  uint32_t taken = 0;
  uint32_t waiting = 0;
  for (const Passing& packet : packets) {
    const auto place = place_of(lease, packet);
    if (!place) break;
    if (!tx_->has_room()) {
      // What was accepted before a failure stays so: the next call finds the failure again.
      if (auto flushed = tx_->flush(); !flushed && taken == 0) return std::move(flushed).error();
      waiting = 0;
      if (!tx_->has_room()) return taken;
    }
    taken++;
    const auto frame = edited(packet, *place, edit);
    if (!frame) continue;
    uint64_t& address = lent.addresses[packet.index];
    passed_on_.pass(frame_of(address));
    address |= kPassedOn;
    queues_[lent.queue]->under_way++;
    under_way_++;
    tx_->submit_at(static_cast<uint64_t>(frame->data() - umem_.region->base()), static_cast<uint32_t>(frame->size()));
    if (++waiting < kTogether) continue;
    waiting = 0;
    if (!tx_->flush()) return taken;
    take_back_sent();
  }
  if (auto flushed = tx_->flush(); !flushed && taken == 0) return std::move(flushed).error();
  take_back_sent();
  return taken;
}

/// Frames that were sent, and whose batches are back, into their fill rings.
void AfXdp::take_back_sent() noexcept {
  for (auto address = sent_frames_->pop(); address; address = sent_frames_->pop()) {
    const uint32_t frame = frame_of(*address);
    if (frame >= share() * queues_.size()) continue;
    Queue& queue = *queues_[frame / share()];
    queue.under_way--;
    under_way_--;
    if (!passed_on_.sent(frame)) continue;
    refill(queue, *address);
    queue.has_refilled = true;
  }
  for (const auto& queue : queues_) {
    if (std::exchange(queue->has_refilled, false)) publish(*queue);
  }
}

AfXdp::FrameCount AfXdp::frame_count() const noexcept {
  FrameCount count;
  for (const auto& queue : queues_) count.kernel += queue->filled - queue->consumed;
  for (const Lent& lent : lent_) {
    for (const uint64_t address : lent.addresses)
      count.lent += (address & kPassedOn) == 0 || passed_on_.is_sent(frame_of(address));
  }
  count.under_way = under_way_;
  count.to_send = tx_ ? tx_->free_frames() : 0;
  count.sending = tx_entries_ - count.to_send;
  return count;
}

}  // namespace ringtap::afxdp
