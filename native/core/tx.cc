#include "core/tx.h"

#include <algorithm>
#include <cstring>

namespace ringtap {

namespace {

/// So many frames are handed over together: their memory is still in the cache when it is used again.
constexpr uint32_t kTogether = 64;

}  // namespace

Result<uint32_t> Tx::send(std::span<const TxFrame> frames) noexcept {
  if (auto flushed = flush(); !flushed) return std::move(flushed).error();
  uint32_t taken = 0;
  uint32_t waiting = 0;
  for (const TxFrame frame : frames) {
    if (const auto failure = limits().refuses(frame)) {
      refuse(*failure);
      taken++;
      continue;
    }
    std::span<std::byte> room = reserve();
    if (room.empty()) {
      // What was accepted before a failure stays so: the next call finds the failure again.
      if (auto flushed = flush(); !flushed && taken == 0) return std::move(flushed).error();
      waiting = 0;
      room = reserve();
    }
    if (room.empty()) return taken;
    if (frame.size() > room.size()) {
      cancel();
      refuse(TxFailure::kTooLong);
      taken++;
      continue;
    }
    std::copy(frame.begin(), frame.end(), room.begin());
    submit(static_cast<uint32_t>(frame.size()));
    taken++;
    if (++waiting < kTogether) continue;
    waiting = 0;
    if (!flush()) return taken;
  }
  if (auto flushed = flush(); !flushed && taken == 0) return std::move(flushed).error();
  return taken;
}

}  // namespace ringtap
