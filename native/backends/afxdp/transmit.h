// Sending through the TX ring of an AF_XDP socket.
#pragma once

#include "backends/afxdp/xsk.h"
#include "core/lease.h"
#include "core/tx.h"

namespace ringtap::afxdp {

class XskTx final : public Tx {
 public:
  /// Frames [first_frame, first_frame + TX ring size) of the UMEM are this sender's alone.
  XskTx(const Xsk& xsk, const Umem& umem, uint32_t first_frame);

  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override;
  Result<Ok> flush() noexcept override;
  TxStats stats() const noexcept override;

 private:
  uint64_t address(uint32_t slot) const noexcept { return (first_frame_ + uint64_t{slot}) * umem_.frame_bytes; }
  void reap() noexcept;

  const Xsk& xsk_;
  const Umem umem_;
  const uint32_t first_frame_;
  Pool slots_;
  bool reserved_ = false;
  uint32_t reserved_slot_ = 0;
  uint32_t producer_ = 0;
  uint32_t completed_ = 0;
  uint64_t submitted_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace ringtap::afxdp
