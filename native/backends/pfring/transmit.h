// Sending one frame per call: through a socket of the module, or through the library.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "core/tx.h"
#include "core/unique_fd.h"

namespace ringtap::pfring {

class SendQueue final : public Tx {
 public:
  /// Sends one frame; returns errno, 0 when it is on its way, ENOBUFS or EAGAIN when it has to wait.
  using Send = std::function<int(std::span<const std::byte> frame)>;

  /// Frames go to the interface of this name.
  SendQueue(const std::string& interface, Send send);

  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override {}
  Result<Ok> flush() noexcept override;
  TxStats stats() const noexcept override;

 private:
  static constexpr uint32_t kFrames = 64;
  static constexpr uint32_t kFrameBytes = 65536;

  std::span<std::byte> frame(uint64_t number) noexcept {
    return {memory_.get() + number % kFrames * kFrameBytes, kFrameBytes};
  }

  const Send send_;
  const UniqueFd query_;
  const int interface_;
  std::unique_ptr<std::byte[]> memory_;  // from the first frame on: few captures send
  bool starved_ = false;
  uint32_t bytes_[kFrames] = {};
  uint64_t submitted_ = 0;
  uint64_t done_ = 0;
  std::atomic<uint64_t> queued_{0};
  std::atomic<uint64_t> sent_{0};
  std::atomic<uint64_t> failed_{0};
};

/// Sends through a socket of the module that is bound to an interface.
SendQueue::Send send_through(int fd);

}  // namespace ringtap::pfring
