// When to look at an empty ring again.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ringtap::afpacket {

/// A runtime wakes up at the price of thousands of packets. So under load the reader sleeps while blocks gather: as
/// long as an eighth of the ring is enough, because traffic may become eight times as dense meanwhile. Without load
/// there is nothing to gather, and the first block wakes the reader.
class Gather {
 public:
  Gather(uint32_t timeout_ms, uint32_t blocks) : most_ms_(std::min(4 * timeout_ms, kMostMs)), room_(blocks / 8) {}

  void took_block(uint32_t packets) noexcept {
    blocks_++;
    packets_ += packets;
  }

  /// The ring is empty at `now_us`: decides by what was taken since the last time.
  void emptied(uint64_t now_us) noexcept {
    const uint64_t elapsed_us = now_us - emptied_us_;
    const bool load = packets_ > elapsed_us / kLoadUs;
    ms_ = load ? static_cast<uint32_t>(std::min<uint64_t>(most_ms_, elapsed_us * room_ / blocks_ / 1000)) : 0;
    emptied_us_ = now_us;
    blocks_ = packets_ = 0;
  }

  /// How long to sleep; 0 is not at all.
  uint32_t ms() const noexcept { return ms_; }

 private:
  static constexpr uint32_t kMostMs = 100;
  static constexpr uint64_t kLoadUs = 10;  // load is a packet each 10 µs

  uint32_t most_ms_;
  uint32_t room_;
  uint32_t ms_ = 0;
  uint64_t emptied_us_ = 0;
  uint64_t blocks_ = 0;
  uint64_t packets_ = 0;
};

}  // namespace ringtap::afpacket
