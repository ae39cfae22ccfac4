// Passing on: packets of batches that are lent, to the port as they are.
#include <rte_mbuf.h>

#include "backends/dpdk/module/source.h"

namespace ringtap::dpdk {

/// Where in the ring a packet is that may be passed on; nothing where it was joined, or was passed on before.
std::optional<uint64_t> PortSource::position_of(Lease lease, const Passing& packet) const noexcept {
  const auto begin = leases_.begin(lease);
  if (!begin || !poller_ || !tx_ || packet.frame.empty()) return std::nullopt;
  const PacketRing& ring = poller_->ring();
  const uint64_t position = *begin + packet.index;
  if (position >= ring.position()) return std::nullopt;
  const rte_mbuf* mbuf = ring.owner(position);
  if (mbuf == nullptr) return std::nullopt;
  // SAFETY: what the packet says of its place is JavaScript's: it must lie within the one that the ring has there.
  const Packet& there = ring.packet(position);
  const uint64_t place =
      reinterpret_cast<uintptr_t>(packet.frame.data()) - reinterpret_cast<uintptr_t>(info_.segments[0].base);
  if (place < there.offset || place > there.offset + uint64_t{there.length}) return std::nullopt;
  if (packet.frame.size() > there.offset + uint64_t{there.length} - place) return std::nullopt;
  if (rte_pktmbuf_headroom(mbuf) < kEditRoom) return std::nullopt;
  return position;
}

bool PortSource::can_pass_on(Lease lease, const Passing& packet) const noexcept {
  return position_of(lease, packet).has_value();
}

/// The frame as it is to be sent; nothing where it must not be, which is counted.
std::optional<TxFrame> PortSource::edited(TxFrame frame, FrameEdit* edit) noexcept {
  if (edit != nullptr) {
    std::byte* at = info_.segments[0].base + (frame.data() - info_.segments[0].base);
    frame = edit->apply({at - kEditRoom, frame.size() + kEditRoom});
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

Result<uint32_t> PortSource::pass_on(Lease lease, std::span<const Passing> packets, FrameEdit* edit) noexcept {
  if (!tx_) return 0u;
  if (auto flushed = tx_->flush(); !flushed) return std::move(flushed).error();
  uint32_t taken = 0;
  for (const Passing& packet : packets) {
    const auto position = position_of(lease, packet);
    if (!position) break;
    if (!tx_->has_room()) {
      if (auto flushed = tx_->flush(); !flushed && taken == 0) return std::move(flushed).error();
      if (!tx_->has_room()) return taken;
    }
    taken++;
    const auto frame = edited(packet.frame, edit);
    if (!frame) continue;
    rte_mbuf* mbuf = poller_->ring().owner(*position);
    // WHY a second owner: the batch shows it until it is released, however soon the port is done with it.
    rte_mbuf_refcnt_update(mbuf, 1);
    poller_->ring().pass_on(*position);
    mbuf->data_off = static_cast<uint16_t>(frame->data() - static_cast<const std::byte*>(mbuf->buf_addr));
    mbuf->data_len = static_cast<uint16_t>(frame->size());
    mbuf->pkt_len = static_cast<uint32_t>(frame->size());
    // What was said of it when it was received is nothing that the port is to do.
    mbuf->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    tx_->take(mbuf);
  }
  if (auto flushed = tx_->flush(); !flushed && taken == 0) return std::move(flushed).error();
  return taken;
}

}  // namespace ringtap::dpdk
