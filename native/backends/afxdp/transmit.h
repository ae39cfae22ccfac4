// Sending through the TX ring of an AF_XDP socket.
#pragma once

#include "backends/afxdp/xsk.h"
#include "core/lease.h"
#include "core/tx.h"
#include "linux/sending_link.h"

namespace ringtap::afxdp {

class XskTx final : public Tx {
 public:
  /// Frames [first_frame, first_frame + TX ring size) of the UMEM are this sender's alone. `xsk` is a socket that
  /// nobody polls: the kernel sends then, too, and says nothing of what it drops. What was sent comes back in
  /// `completion`.
  XskTx(const Xsk& xsk, const Ring<uint64_t>& completion, const Umem& umem, uint32_t first_frame, SendingLink link);

  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override;
  Result<Ok> flush() noexcept override;
  TxLimits limits() const noexcept override;
  TxStats stats() const noexcept override;

 protected:
  void refuse(TxFailure failure) noexcept override;

 private:
  uint64_t address(uint32_t slot) const noexcept { return (first_frame_ + uint64_t{slot}) * umem_.frame_bytes; }
  void reap() noexcept;

  const Xsk& xsk_;
  const Ring<uint64_t>& completion_;
  const Umem umem_;
  const uint32_t first_frame_;
  SendingLink link_;
  const bool zero_copy_;
  Pool slots_;
  bool reserved_ = false;
  uint32_t reserved_slot_ = 0;
  uint32_t producer_ = 0;
  uint32_t completed_ = 0;
  uint64_t submitted_ = 0;
  uint64_t returned_ = 0;  // by the kernel, whether they went out or not
  uint64_t lost_ = 0;      // of these
  TxStats refused_;        // and what was dropped
};

}  // namespace ringtap::afxdp
