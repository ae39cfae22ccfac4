#include "backends/afxdp/transmit.h"

#include <sys/socket.h>

#include <cerrno>

#include "linux/interface.h"

namespace ringtap::afxdp {

XskTx::XskTx(const Xsk& xsk, const Umem& umem, uint32_t first_frame)
    : xsk_(xsk), umem_(umem), first_frame_(first_frame), slots_(xsk.tx.size()) {}

std::span<std::byte> XskTx::reserve() noexcept {
  if (!reserved_) {
    if (slots_.empty()) reap();
    if (slots_.empty()) return {};
    reserved_slot_ = slots_.take();
    reserved_ = true;
  }
  return {umem_.region->base() + address(reserved_slot_), umem_.frame_bytes};
}

void XskTx::submit(uint32_t bytes) noexcept {
  if (!reserved_ || bytes > umem_.frame_bytes) return;
  reserved_ = false;
  xsk_.tx[producer_] = {.addr = address(reserved_slot_), .len = bytes, .options = 0};
  xsk_.tx.publish(++producer_);
  submitted_++;
}

void XskTx::cancel() noexcept {
  if (!reserved_) return;
  reserved_ = false;
  slots_.give(reserved_slot_);
}

Result<Ok> XskTx::flush() noexcept {
  // WHY: in copy mode one call sends at most 32 frames; each that sends something is worth another.
  for (uint32_t before = xsk_.tx.consumed(); before != producer_;) {
    const int err = xsk_.kick_tx();
    reap();
    if (err == ENETDOWN || err == ENXIO) {
      const UniqueFd fd = query_socket();
      if (is_gone(fd.get(), xsk_.interface()))
        return system_error(Code::kInterfaceGone, "the interface was removed", "sendto", err);
      return system_error(Code::kInterfaceDown, "the interface cannot send", "sendto", err);
    }
    if (err != 0 && err != EAGAIN && err != EBUSY && err != ENOBUFS) {
      return system_error(Code::kSystem, "sending failed", "sendto", err);
    }
    const uint32_t after = xsk_.tx.consumed();
    if (after == before) break;
    before = after;
  }
  reap();
  return Ok{};
}

void XskTx::reap() noexcept {
  const uint32_t produced = xsk_.completion.produced();
  const uint32_t count = produced - completed_;
  for (; completed_ != produced; completed_++) {
    const uint64_t slot = xsk_.completion[completed_] / umem_.frame_bytes - first_frame_;
    if (slot < xsk_.tx.size()) slots_.give(static_cast<uint32_t>(slot));
  }
  xsk_.completion.retire(completed_);
  sent_ += count;
}

TxStats XskTx::stats() const noexcept {
  TxStats stats;
  stats.sent = sent_;
  stats.failed = xsk_.statistics().tx_invalid_descs;
  stats.queued = submitted_ - stats.sent - stats.failed;
  return stats;
}

}  // namespace ringtap::afxdp
