// Sending one frame per call: through a socket of the module, or through the library.
#pragma once

#include <functional>
#include <string>

#include "core/send_queue.h"
#include "linux/sending_link.h"

namespace ringtap::pfring {

class RingTx final : public SendQueue {
 public:
  /// Sends one frame; returns errno, 0 when it is on its way, ENOBUFS or EAGAIN when it has to wait.
  using Send = std::function<int(std::span<const std::byte> frame)>;

  RingTx(SendingLink link, Send send) : link_(std::move(link)), send_(std::move(send)) {}

  TxLimits limits() const noexcept override { return link_.limits(); }

 protected:
  uint32_t hand_over(std::span<const TxFrame> frames, int& err) noexcept override;
  Verdict judge(int err) noexcept override;
  std::optional<uint32_t> given_up(uint32_t frames) noexcept override {
    return link_.is_down() ? std::optional(link_.give_up(frames)) : std::nullopt;
  }

 private:
  SendingLink link_;
  const Send send_;
};

/// The link of the interface of this name.
Result<SendingLink> link_of(const std::string& interface, const std::string& uri);

/// Sends through a socket of the module that is bound to an interface.
RingTx::Send send_through(int fd);

}  // namespace ringtap::pfring
