#include "backends/afxdp/transmit.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace ringtap::afxdp {

XskTx::XskTx(const Xsk& xsk, const Ring<uint64_t>& completion, const Umem& umem, uint32_t first_frame, SendingLink link,
             SentFrames* sent)
    : xsk_(xsk),
      completion_(completion),
      umem_(umem),
      first_frame_(first_frame),
      link_(std::move(link)),
      zero_copy_(xsk.zero_copy()),
      slots_(xsk.tx.size()),
      sent_(sent) {}

bool XskTx::has_room() const noexcept { return producer_ - xsk_.tx.consumed() + (reserved_ ? 1 : 0) < xsk_.tx.size(); }

std::span<std::byte> XskTx::reserve() noexcept {
  if (!reserved_) {
    if (slots_.empty()) reap();
    // WHY only then: without others there is a place in the ring for each free frame.
    if (slots_.empty() || (others_ > 0 && !has_room())) return {};
    reserved_slot_ = slots_.take();
    reserved_ = true;
  }
  return {umem_.region->base() + address(reserved_slot_), umem_.frame_bytes};
}

void XskTx::submit(uint32_t bytes) noexcept {
  if (!reserved_ || bytes > umem_.frame_bytes) return;
  reserved_ = false;
  publish(address(reserved_slot_), bytes);
}

void XskTx::submit_at(uint64_t address, uint32_t bytes) noexcept {
  others_++;
  passed_on_++;
  publish(address, bytes);
}

void XskTx::publish(uint64_t address, uint32_t bytes) noexcept {
  xsk_.tx[producer_] = {.addr = address, .len = bytes, .options = 0};
  xsk_.tx.publish(++producer_);
  submitted_++;
}

void XskTx::cancel() noexcept {
  if (!reserved_) return;
  reserved_ = false;
  slots_.give(reserved_slot_);
}

Result<Ok> XskTx::flush() noexcept {
  link_.look();
  // WHY: in copy mode one call sends at most 32 frames; each that sends something is worth another.
  for (uint32_t before = xsk_.tx.consumed(); before != producer_;) {
    if (link_.is_down() && link_.give_up(1) == 0) break;
    const int err = xsk_.kick_tx();
    reap();
    if (err == ENETDOWN || err == ENXIO) return link_.failure("sendto", err);
    if (err != 0 && err != EAGAIN && err != EBUSY && err != ENOBUFS) return link_.failure("sendto", err);
    // WHY before the ring is looked at: of a call whose first frame is dropped the kernel does not say there that it
    // has taken it. Each such answer is one frame, which is given back like all others.
    if (err == EBUSY && !zero_copy_ && lost_ < submitted_) {
      lost_++;
      refused_.failed[static_cast<size_t>(link_.lost() ? TxFailure::kLinkDown : TxFailure::kDropped)]++;
      continue;
    }
    const uint32_t after = xsk_.tx.consumed();
    if (after == before) break;
    before = after;
  }
  reap();
  return Ok{};
}

void XskTx::reap() noexcept {
  const uint32_t produced = completion_.produced();
  const uint32_t count = produced - completed_;
  for (; completed_ != produced; completed_++) {
    const uint64_t address = completion_[completed_];
    const uint64_t slot = address / umem_.frame_bytes - first_frame_;
    if (slot < xsk_.tx.size()) {
      slots_.give(static_cast<uint32_t>(slot));
    } else if (others_ > 0) {
      others_--;
      sent_->push(address);
    }
  }
  completion_.retire(completed_);
  returned_ += count;
}

TxLimits XskTx::limits() const noexcept {
  TxLimits limits = link_.limits();
  limits.mtu = std::min(limits.mtu, umem_.frame_bytes - limits.header - 4);
  return limits;
}

void XskTx::refuse(TxFailure failure) noexcept {
  refused_.accepted++;
  refused_.failed[static_cast<size_t>(failure)]++;
}

TxStats XskTx::stats() const noexcept {
  TxStats stats = refused_;
  stats.accepted += submitted_;
  stats.zero_copy = passed_on_;
  stats.completed = returned_ - std::min(lost_, returned_);
  const uint64_t invalid = xsk_.statistics().tx_invalid_descs;
  stats.failed[static_cast<size_t>(TxFailure::kMalformed)] += invalid;
  stats.queued = stats.accepted - stats.completed - stats.all_failed();
  return stats;
}

}  // namespace ringtap::afxdp
