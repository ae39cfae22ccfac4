// Which frame of the UMEM is whose: a batch's until its lease returns, then the fill ring's again.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

namespace ringtap::afxdp {

/// In a Lent's address: the frame was passed on, and does not go back with the lease alone.
inline constexpr uint64_t kPassedOn = uint64_t{1} << 63;

/// What one lease pins: what its batch shows.
struct Lent {
  uint32_t queue = 0;               // whose fill ring the frames go back to
  std::vector<uint64_t> addresses;  // of frames, of packets in one piece in their order
  std::vector<uint32_t> joined;     // slots in which fragmented packets were put together
};

/// How many pieces of something each of so many leases may pin, so that every other one still finds some: a share of
/// its own, and beyond that what nobody else has taken. Takes at least as many pieces as leases.
class Quota {
 public:
  Quota() = default;
  Quota(uint32_t pieces, uint32_t leases)
      : share_(std::max(1u, pieces / 2 / leases)), spare_(pieces - share_ * leases) {}

  /// The most that the next lease may pin.
  uint32_t most() const noexcept { return share_ + spare_; }
  void take(uint32_t pieces) noexcept { spare_ -= beyond(pieces); }
  void give(uint32_t pieces) noexcept { spare_ += beyond(pieces); }

 private:
  uint32_t beyond(uint32_t pieces) const noexcept { return pieces > share_ ? pieces - share_ : 0; }

  uint32_t share_ = 0;
  uint32_t spare_ = 0;
};

/// Frames of the capture that the sender has sent, on their way back: whoever sends, on whatever thread, puts them in,
/// and whoever receives takes them out.
class SentFrames {
 public:
  /// No more than so many are ever in it.
  explicit SentFrames(uint32_t most) : addresses_(std::bit_ceil(std::max(most, 1u))) {}

  void push(uint64_t address) noexcept {
    const uint32_t at = pushed_.load(std::memory_order_relaxed);
    addresses_[at & (addresses_.size() - 1)] = address;
    pushed_.store(at + 1, std::memory_order_release);
  }
  std::optional<uint64_t> pop() noexcept {
    if (popped_ == pushed_.load(std::memory_order_acquire)) return std::nullopt;
    return addresses_[popped_++ & (addresses_.size() - 1)];
  }

 private:
  std::vector<uint64_t> addresses_;
  std::atomic<uint32_t> pushed_{0};
  uint32_t popped_ = 0;
};

/// What became of frames that were passed on, by their number. WHY two marks: a frame is free when it was sent and its
/// batch is back, whichever comes last.
class PassedOn {
 public:
  PassedOn() = default;
  explicit PassedOn(uint32_t frames) : marks_(frames) {}

  void pass(uint32_t frame) noexcept { marks_[frame] = Mark::kUnderWay; }
  /// @returns whether the frame is free now
  bool sent(uint32_t frame) noexcept { return comes_back(frame, Mark::kSent, Mark::kReleased); }
  /// The same, of the batch.
  bool released(uint32_t frame) noexcept { return comes_back(frame, Mark::kReleased, Mark::kSent); }
  bool is_sent(uint32_t frame) const noexcept { return marks_[frame] == Mark::kSent; }

 private:
  enum class Mark : uint8_t { kNone, kUnderWay, kSent, kReleased };

  bool comes_back(uint32_t frame, Mark one, Mark other) noexcept {
    const bool is_last = marks_[frame] == other;
    marks_[frame] = is_last ? Mark::kNone : one;
    return is_last;
  }

  std::vector<Mark> marks_;
};

}  // namespace ringtap::afxdp
