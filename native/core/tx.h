// The sending side of a capture method.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"

namespace ringtap {

struct TxStats {
  uint64_t sent = 0;    // frames that the kernel or NIC has taken and given back
  uint64_t queued = 0;  // frames submitted and not given back yet
  uint64_t failed = 0;  // frames refused as malformed
};

/// One frame at a time: reserve → write → submit or cancel; flush hands over what was submitted. One thread.
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
  virtual TxStats stats() const noexcept = 0;
};

}  // namespace ringtap
