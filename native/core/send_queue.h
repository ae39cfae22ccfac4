// Sending by calls that take frames from anywhere in memory: what cannot go out at once is copied and waits here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/tx.h"

namespace ringtap {

class SendQueue : public Tx {
 public:
  std::span<std::byte> reserve() noexcept override;
  void submit(uint32_t bytes) noexcept override;
  void cancel() noexcept override {}
  Result<Ok> flush() noexcept override;
  Result<uint32_t> send(std::span<const TxFrame> frames) noexcept override;
  TxStats stats() const noexcept override { return stats_; }

 protected:
  /// What to do about a frame that was not taken.
  struct Verdict {
    /// kRefused: for want of room, or for good: who is asked does not say which.
    enum class Kind : uint8_t { kWait, kRefused, kSkip, kFail } kind = Kind::kWait;
    TxFailure failure = TxFailure::kMalformed;  // kSkip: what it counts as
    Error error = {};                           // kFail: it stays queued, and nothing goes out any more for now
  };

  /// Hands frames over, from the front: how many were taken. `err` is why the next one was not.
  virtual uint32_t hand_over(std::span<const TxFrame> frames, int& err) noexcept = 0;
  virtual Verdict judge(int err) noexcept = 0;
  /// How many of `frames` are to be given up without being tried, because the link is known to be down; nothing where
  /// it is not.
  virtual std::optional<uint32_t> given_up(uint32_t /*frames*/) noexcept { return std::nullopt; }
  void refuse(TxFailure failure) noexcept override {
    stats_.accepted++;
    stats_.failed[static_cast<size_t>(failure)]++;
  }

 private:
  static constexpr uint32_t kFrames = 256;
  static constexpr uint32_t kFrameBytes = 65536 + 64;
  static constexpr uint32_t kTogether = 64;
  /// How long a frame may be refused while nothing goes out, and one that is no shorter than one that was given up.
  static constexpr int64_t kPatienceNs = 1'000'000'000;
  static constexpr int64_t kLittlePatienceNs = 10'000'000;

  /// What became of frames in front: so many are done with, in whatever way. With an error none is.
  struct Passed {
    uint32_t frames = 0;
    std::optional<Error> error = {};
  };
  Passed pass(std::span<const TxFrame> frames) noexcept;
  /// Whether a frame that is refused again is to be given up.
  bool is_hopeless(size_t bytes) noexcept;
  std::optional<Error> pass_queued() noexcept;
  /// Keeps the first frame that could not go out now; until it has, there is room for no other. WHY: who waits for room
  /// would else find it at once, and try again, and again.
  bool hold_up(TxFrame frame) noexcept;
  std::span<std::byte> frame(uint64_t number) noexcept {
    return {memory_.get() + number % kFrames * kFrameBytes, kFrameBytes};
  }

  std::unique_ptr<std::byte[]> memory_;  // from the first frame on: few captures send
  bool starved_ = false;
  bool held_up_ = false;
  int64_t refused_since_ = 0;   // the frame in front; 0: it is not
  size_t hopeless_ = SIZE_MAX;  // bytes of the shortest frame that was given up
  uint32_t bytes_[kFrames] = {};
  uint64_t submitted_ = 0;
  uint64_t done_ = 0;
  TxStats stats_;
};

}  // namespace ringtap
