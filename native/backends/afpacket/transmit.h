// Sending through a packet socket of its own, many frames with one call.
#pragma once

#include <string>

#include "backends/afpacket/target.h"
#include "core/send_queue.h"
#include "linux/sending_link.h"

namespace ringtap::afpacket {

class PacketTx final : public SendQueue {
 public:
  /// `bypass`: past the queueing discipline and the taps of the interface.
  PacketTx(SendingLink link, int interface, bool bypass)
      : link_(std::move(link)), interface_(interface), bypass_(bypass) {}

  /// Opens the socket; else the first frame does. Returns errno.
  int open() noexcept;

  TxLimits limits() const noexcept override { return link_.limits(); }

 protected:
  uint32_t hand_over(std::span<const TxFrame> frames, int& err) noexcept override;
  Verdict judge(int err) noexcept override;
  std::optional<uint32_t> given_up(uint32_t frames) noexcept override {
    return link_.is_down() ? std::optional(link_.give_up(frames)) : std::nullopt;
  }

 private:
  SendingLink link_;
  const int interface_;
  const bool bypass_;
  UniqueFd fd_;
};

/// What sends on the target; null where it has no frames of its own to send: every interface, or one whose link-level
/// header we do not know.
std::unique_ptr<PacketTx> sender_on(const Target& target, bool bypass);

}  // namespace ringtap::afpacket
