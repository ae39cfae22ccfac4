#include "backends/afxdp/source.h"

#include "backends/afxdp/bpf.h"

namespace ringtap::afxdp {

Stats AfXdp::stats() const noexcept {
  Stats s = counted_;
  if (queues_.empty()) return s;
  uint64_t dropped = 0;
  uint64_t full = 0;
  uint64_t invalid = 0;
  for (const auto& queue : queues_) {
    // WHY: rx_fill_ring_empty_descs repeats rx_dropped, and so may the driver's own counters: neither is added.
    const xdp_statistics now = queue->xsk.statistics();
    dropped += now.rx_dropped;
    full += now.rx_ring_full;
    invalid += now.rx_invalid_descs;
    const uint32_t produced = queue->xsk.rx.produced();
    for (uint32_t i = queue->consumed; i != produced; i++) {
      if ((queue->xsk.rx[i].options & XDP_PKT_CONTD) == 0) s.pending++;
    }
  }
  s.dropped = dropped + full + invalid;
  s.received = s.delivered + s.filtered + s.dropped + s.pending;
  s.drops = {{"rxDropped", dropped}, {"rxRingFull", full}, {"rxInvalidDescs", invalid}, {"nic", std::nullopt}};
  return s;
}

void AfXdp::close() noexcept {
  if (queues_.empty()) return;
  counted_ = stats();  // the sockets take the kernel's counts along
  // WHY not by closing it alone: a child process that is just being made may hold a copy of the descriptor.
  if (link_) detach_link(link_.get());
  link_.reset();
  tx_.reset();
  sender_.reset();
  queues_.clear();
  info_.segments.clear();
}

}  // namespace ringtap::afxdp
