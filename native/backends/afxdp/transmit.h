// Sending through the TX ring of an AF_XDP socket.
#pragma once

#include "backends/afxdp/frames.h"
#include "backends/afxdp/xsk.h"
#include "core/lease.h"
#include "core/tx.h"
#include "linux/sending_link.h"

namespace ringtap::afxdp {

class XskTx final : public Tx {
 public:
  /// Frames [first_frame, first_frame + TX ring size) of the UMEM are this sender's alone. `xsk` is a socket that
  /// nobody polls: the kernel sends then, too, and says nothing of what it drops. What was sent comes back in
  /// `completion`. `sent` gets the other frames that submit_at() was given; null: there are none.
  XskTx(const Xsk& xsk, const Ring<uint64_t>& completion, const Umem& umem, uint32_t first_frame, SendingLink link,
        SentFrames* sent);

  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override;
  Result<Ok> flush() noexcept override;
  TxLimits limits() const noexcept override;
  TxStats stats() const noexcept override;
  void refuse(TxFailure failure) noexcept override;

  /// Room for a frame that lies in the UMEM already.
  bool has_room() const noexcept;
  /// Queues it, as submit() does. Not without has_room().
  void submit_at(uint64_t address, uint32_t bytes) noexcept;
  /// Frames of its own that are not under way.
  uint32_t free_frames() const noexcept { return slots_.size() - slots_.taken(); }

 private:
  void publish(uint64_t address, uint32_t bytes) noexcept;
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
  SentFrames* const sent_;
  uint32_t others_ = 0;     // frames of submit_at() that are under way
  uint64_t passed_on_ = 0;  // all of them
  uint32_t producer_ = 0;
  uint32_t completed_ = 0;
  uint64_t submitted_ = 0;
  uint64_t returned_ = 0;  // by the kernel, whether they went out or not
  uint64_t lost_ = 0;      // of these
  TxStats refused_;        // and what was dropped
};

}  // namespace ringtap::afxdp
