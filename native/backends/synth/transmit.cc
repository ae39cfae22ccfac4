#include "backends/synth/transmit.h"

#include <algorithm>
#include <new>

namespace ringtap::synth {

std::span<std::byte> SinkTx::reserve() noexcept {
  if (count_ == kFrames) return {};
  try {
    memory_.resize(size_t{kFrames} * kFrameBytes);
  } catch (const std::bad_alloc&) {
    return {};
  }
  return {memory_.data() + size_t{count_} * kFrameBytes, kFrameBytes};
}

void SinkTx::submit(uint32_t bytes) noexcept {
  if (count_ == kFrames || memory_.empty() || bytes > kFrameBytes) return;
  bytes_[count_++] = bytes;
  stats_.accepted++;
  stats_.queued++;
}

/// Once, when so many have come.
bool SinkTx::stalls() noexcept {
  if (settings_.stall_after == 0 || number_ < settings_.stall_after) return false;
  if (stalled_until_ == Clock::time_point{}) stalled_until_ = Clock::now() + settings_.stall;
  return Clock::now() < stalled_until_;
}

void SinkTx::take(TxFrame frame) noexcept {
  const uint64_t number = number_++;
  stats_.queued--;
  if (settings_.drop_every != 0 && number_ % settings_.drop_every == 0) {
    stats_.failed[static_cast<size_t>(TxFailure::kDropped)]++;
    return;
  }
  if (settings_.expected) {
    const TxFrame wanted = settings_.expected(number);
    if (!std::equal(frame.begin(), frame.end(), wanted.begin(), wanted.end())) {
      stats_.failed[static_cast<size_t>(TxFailure::kMalformed)]++;
      return;
    }
  }
  stats_.completed++;
}

Result<Ok> SinkTx::flush() noexcept {
  uint32_t done = 0;
  bool failed = false;
  while (done < count_ && !stalls()) {
    failed = settings_.error_after != 0 && number_ >= settings_.error_after;
    if (failed) break;
    take({memory_.data() + size_t{done} * kFrameBytes, bytes_[done]});
    done++;
  }
  if (done > 0 && done < count_) {
    const auto at = memory_.begin();
    std::copy(at + std::ptrdiff_t{done} * kFrameBytes, at + std::ptrdiff_t{count_} * kFrameBytes, at);
    std::copy(bytes_ + done, bytes_ + count_, bytes_);
  }
  count_ -= done;
  if (failed) return settings_.error;
  return Ok{};
}

void SinkTx::refuse(TxFailure failure) noexcept {
  stats_.accepted++;
  stats_.failed[static_cast<size_t>(failure)]++;
}

}  // namespace ringtap::synth
