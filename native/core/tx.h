// The sending side of a capture method.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>

#include "core/error.h"

namespace ringtap {

/// Why a frame that was accepted did not go out. native/addon/transmitter.cc has their names.
enum class TxFailure : uint8_t {
  kTooShort,   // shorter than a link-level header
  kTooLong,    // longer than the MTU and that
  kLinkDown,   // nobody was at the other end of the cable
  kNoBuffer,   // the kernel had no memory for it
  kMalformed,  // the kernel or the NIC refused it for another reason
  kDropped,    // it was taken, and dropped on the way out
  kTtl,        // its time to live was over, and it was to be passed on
};
inline constexpr size_t kTxFailures = 7;

/// accepted = completed + queued + failed, at any time.
struct TxStats {
  uint64_t accepted = 0;   // taken from the caller
  uint64_t completed = 0;  // that the kernel or NIC has taken, and given their memory back
  uint64_t queued = 0;     // not given back yet
  uint64_t zero_copy = 0;  // of those accepted: sent from where they were received
  std::array<uint64_t, kTxFailures> failed{};

  uint64_t all_failed() const noexcept { return std::accumulate(failed.begin(), failed.end(), uint64_t{0}); }
};

/// How long a frame may be.
struct TxLimits {
  uint32_t header = 14;  // bytes of the link-level header
  uint32_t mtu = 1500;   // what follows it; a VLAN tag more is allowed

  /// What this frame would be refused for.
  std::optional<TxFailure> refuses(std::span<const std::byte> frame) const noexcept {
    if (frame.size() < header || frame.empty()) return TxFailure::kTooShort;
    if (frame.size() > longest(frame)) return TxFailure::kTooLong;
    return std::nullopt;
  }
  /// The most bytes that a frame which begins so may have.
  uint32_t longest(std::span<const std::byte> frame) const noexcept {
    return mtu + header + (is_tagged(frame) ? 4 : 0);
  }

 private:
  bool is_tagged(std::span<const std::byte> frame) const noexcept {
    if (header != 14 || frame.size() < 14) return false;
    const auto type = std::to_integer<uint32_t>(frame[12]) << 8 | std::to_integer<uint32_t>(frame[13]);
    return type == 0x8100 || type == 0x88a8;
  }
};

using TxFrame = std::span<const std::byte>;

/// Bytes in front of a frame that an edit may make use of.
inline constexpr size_t kEditRoom = 4;

/// What changes frames right before they are sent.
class FrameEdit {
 public:
  virtual ~FrameEdit() = default;
  /// Edits the frame that lies kEditRoom bytes behind the beginning of `room`, and ends with it. @returns where it lies
  /// then; nothing: its time to live is over, and it is as it was
  virtual std::span<std::byte> apply(std::span<std::byte> room) noexcept = 0;
};

/// One frame at a time: reserve → write → submit or cancel; flush hands over what was submitted. Or many at once: send.
/// One call at a time, but on any thread, whatever thread receives.
class Tx {
 public:
  virtual ~Tx() = default;

  /// Room for one frame, empty when all frames are under way. Valid until submit() or cancel().
  virtual std::span<std::byte> reserve() noexcept = 0;
  /// Queues the first `bytes` of the reserved frame.
  virtual void submit(uint32_t bytes) noexcept = 0;
  /// Gives the reserved frame back unsent.
  virtual void cancel() noexcept = 0;
  /// Makes the kernel send what is queued, and takes back what it has sent. Never blocks: frames may remain queued.
  virtual Result<Ok> flush() noexcept = 0;
  /// Accepts frames from the front until there is no room, behind what is queued, and hands them over: how many. Those
  /// that can never be sent are accepted, and counted as failed. Their bytes are not needed any more when it returns.
  virtual Result<uint32_t> send(std::span<const TxFrame> frames) noexcept;
  virtual TxLimits limits() const noexcept = 0;
  virtual TxStats stats() const noexcept = 0;
  /// Counts a frame that is accepted only to be refused.
  virtual void refuse(TxFailure failure) noexcept = 0;
};

}  // namespace ringtap
