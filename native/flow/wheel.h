// When each flow is to be looked at again: a timer wheel, so that nothing is ever scanned.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "flow/flow.h"

namespace ringtap::flow {

/// Flows hang in the bucket of the time at which they would end if nothing more came. A packet does not move its flow:
/// whoever takes it out of the bucket looks whether it is really over, and else hangs it into a later one.
///
/// Each bucket has two lists, so that those who look for what has been idle longest need not look at flows that are
/// only old.
class Wheel {
 public:
  static constexpr int kTickBits = 28;  // 268 ms
  static constexpr uint32_t kBuckets = 1024;
  static constexpr uint32_t kNone = UINT32_MAX;
  enum class Why : uint8_t { kIdle, kOld };

  Wheel() noexcept {
    for (auto& list : heads_) list.fill(kNone);
  }

  static int64_t tick_of(int64_t ns) noexcept { return ns >> kTickBits; }
  int64_t tick() const noexcept { return tick_; }
  void set_tick(int64_t tick) noexcept { tick_ = tick; }

  /// @param at when: what is past is due at the next tick, and what is too far away is looked at before
  void hang(Side* sides, uint32_t flow, int64_t at, Why why) noexcept {
    const int64_t ahead = std::clamp<int64_t>(tick_of(at) - tick_, 0, kBuckets - 1);
    const auto bucket = static_cast<uint32_t>((tick_ + ahead) & (kBuckets - 1));
    const auto list = static_cast<uint32_t>(why);
    uint32_t& head = heads_[list][bucket];
    sides[flow].next = head;
    sides[flow].prev = kNone;
    sides[flow].bucket = static_cast<uint16_t>(bucket << 1 | list);
    if (head != kNone) sides[head].prev = flow;
    head = flow;
    taken_[list][bucket / 64] |= uint64_t{1} << bucket % 64;
  }

  void take(Side* sides, uint32_t flow) noexcept {
    const Side& side = sides[flow];
    const uint32_t list = side.bucket & 1u;
    const uint32_t bucket = side.bucket >> 1;
    if (side.next != kNone) sides[side.next].prev = side.prev;
    if (side.prev != kNone) {
      sides[side.prev].next = side.next;
    } else {
      heads_[list][bucket] = side.next;
      if (side.next == kNone) taken_[list][bucket / 64] &= ~(uint64_t{1} << bucket % 64);
    }
  }

  uint32_t head(uint32_t bucket, Why why) const noexcept { return heads_[static_cast<uint32_t>(why)][bucket]; }

  /// The bucket that is due first and has a flow, from the one of this tick on; kNone.
  uint32_t first(Why why) const noexcept {
    const auto& words = taken_[static_cast<uint32_t>(why)];
    const auto from = static_cast<uint32_t>(tick_ & (kBuckets - 1));
    for (uint32_t i = 0; i <= kBuckets / 64; i++) {
      const uint32_t word = (from / 64 + i) % (kBuckets / 64);
      uint64_t bits = words[word];
      if (i == 0) bits &= ~uint64_t{0} << from % 64;
      if (i == kBuckets / 64) bits &= ~(~uint64_t{0} << from % 64);
      if (bits != 0) return word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
    }
    return kNone;
  }

 private:
  std::array<std::array<uint32_t, kBuckets>, 2> heads_;
  std::array<std::array<uint64_t, kBuckets / 64>, 2> taken_{};
  int64_t tick_ = 0;
};

}  // namespace ringtap::flow
