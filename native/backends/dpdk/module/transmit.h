// Sending through queue 0 of a port.
#pragma once

#include <array>

#include "core/tx.h"

struct rte_mbuf;
struct rte_mempool;

namespace ringtap::dpdk {

class PortTx final : public Tx {
 public:
  PortTx(uint16_t port, rte_mempool* pool);
  ~PortTx() override;
  PortTx(const PortTx&) = delete;
  PortTx& operator=(const PortTx&) = delete;

  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override {}
  Result<Ok> flush() noexcept override;
  TxLimits limits() const noexcept override { return limits_; }
  TxStats stats() const noexcept override { return stats_; }
  void refuse(TxFailure failure) noexcept override;

  bool has_room() const noexcept { return count_ < kFrames; }
  /// Queues a packet as it is, as submit() does; it is the port's then. Not without has_room().
  void take(rte_mbuf* packet) noexcept;

 private:
  static constexpr uint32_t kFrames = 256;

  const uint16_t port_;
  rte_mempool* const pool_;
  std::array<rte_mbuf*, kFrames> waiting_{};
  uint32_t count_ = 0;
  rte_mbuf* reserved_ = nullptr;
  TxLimits limits_;
  TxStats stats_;
};

}  // namespace ringtap::dpdk
