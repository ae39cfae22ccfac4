#include "backends/dpdk/module/transmit.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>

namespace ringtap::dpdk {

PortTx::PortTx(uint16_t port, rte_mempool* pool) : port_(port), pool_(pool) {
  uint16_t mtu = 0;
  if (rte_eth_dev_get_mtu(port, &mtu) == 0 && mtu > 0) limits_.mtu = mtu;
}

PortTx::~PortTx() {
  rte_pktmbuf_free(reserved_);
  rte_pktmbuf_free_bulk(waiting_.data(), count_);
}

std::span<std::byte> PortTx::reserve() noexcept {
  if (count_ == kFrames) return {};
  if (reserved_ == nullptr) reserved_ = rte_pktmbuf_alloc(pool_);
  if (reserved_ == nullptr) return {};
  return {rte_pktmbuf_mtod(reserved_, std::byte*), rte_pktmbuf_tailroom(reserved_)};
}

void PortTx::submit(uint32_t bytes) noexcept {
  if (reserved_ == nullptr || bytes > rte_pktmbuf_tailroom(reserved_)) return;
  reserved_->data_len = static_cast<uint16_t>(bytes);
  reserved_->pkt_len = bytes;
  waiting_[count_++] = std::exchange(reserved_, nullptr);
  stats_.accepted++;
  stats_.queued = count_;
}

void PortTx::take(rte_mbuf* packet) noexcept {
  waiting_[count_++] = packet;
  stats_.accepted++;
  stats_.zero_copy++;
  stats_.queued = count_;
}

void PortTx::refuse(TxFailure failure) noexcept {
  stats_.accepted++;
  stats_.failed[static_cast<size_t>(failure)]++;
}

Result<Ok> PortTx::flush() noexcept {
  uint32_t done = 0;
  while (done < count_) {
    const uint16_t taken = rte_eth_tx_burst(port_, 0, waiting_.data() + done, static_cast<uint16_t>(count_ - done));
    if (taken == 0) break;
    done += taken;
  }
  std::copy(waiting_.begin() + done, waiting_.begin() + count_, waiting_.begin());
  count_ -= done;
  stats_.completed += done;
  stats_.queued = count_;
  return Ok{};
}

}  // namespace ringtap::dpdk
