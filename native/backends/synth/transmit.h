// A sink: takes frames and counts them, compares them with what synth: makes, and fails on request.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "core/tx.h"

namespace ringtap::synth {

struct SinkSettings {
  uint64_t drop_every = 0;
  uint64_t stall_after = 0;
  std::chrono::milliseconds stall{0};
  uint64_t error_after = 0;
  Error error = {};
  /// The frame with this number, from 0 on, as it should come; none is compared where there is no such function.
  std::function<TxFrame(uint64_t number)> expected = {};
};

class SinkTx final : public Tx {
 public:
  explicit SinkTx(SinkSettings settings) : settings_(std::move(settings)) {}

  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override {}
  Result<Ok> flush() noexcept override;
  TxLimits limits() const noexcept override { return {.mtu = kFrameBytes - 18}; }
  TxStats stats() const noexcept override { return stats_; }

 protected:
  void refuse(TxFailure failure) noexcept override;

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kFrames = 64;
  static constexpr uint32_t kFrameBytes = 65536;

  bool stalls() noexcept;
  void take(TxFrame frame) noexcept;

  const SinkSettings settings_;
  std::vector<std::byte> memory_;
  uint32_t bytes_[kFrames] = {};
  uint32_t count_ = 0;
  uint64_t number_ = 0;  // of the frame that comes next
  Clock::time_point stalled_until_{};
  TxStats stats_;
};

}  // namespace ringtap::synth
