// Sending through a libpcap handle of its own, one frame a call: libpcap has no other way on Linux.
#pragma once

#include <memory>
#include <string>

#include "backends/pcap/handle.h"
#include "core/send_queue.h"
#if defined(__linux__)
#include "linux/sending_link.h"
#endif

namespace ringtap::pcap {

class PcapTx final : public SendQueue {
 public:
  /// `request` is that of the capture, or of the transmitter.
  PcapTx(const LibPcap& library, const OpenRequest& request, uint32_t link_type);

  /// Whether frames of this link type can be sent there.
  static bool can_send(const LibPcap& library, uint32_t link_type, const std::string& target);

  /// Opens the handle; else the first frame does.
  Result<Ok> open();
  void adopt(PcapHandle handle);

  TxLimits limits() const noexcept override;

 protected:
  uint32_t hand_over(std::span<const TxFrame> frames, int& err) noexcept override;
  Verdict judge(int err) noexcept override;
  std::optional<uint32_t> given_up(uint32_t frames) noexcept override;

 private:
  /// errno, 0 when it is on its way.
  int inject(TxFrame frame) noexcept;

  const LibPcap& library_;
  OpenRequest request_;
  PcapHandle handle_;
  std::optional<Error> refused_;  // why there is no handle
  TxLimits limits_;
#if defined(__linux__)
  std::optional<SendingLink> link_;
#endif
};

/// A handle to send by, and no memory for packets.
Result<std::unique_ptr<Source>> open_sender(const LibPcap& library, const OpenRequest& request);

}  // namespace ringtap::pcap
