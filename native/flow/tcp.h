// What a TCP segment says about its flow.
#pragma once

#include <algorithm>
#include <cstdint>

#include "flow/flow.h"

namespace ringtap::flow {

enum TcpFlag : uint8_t { kFinFlag = 1, kSynFlag = 2, kRstFlag = 4, kAckFlag = 16 };

struct Segment {
  uint32_t sequence = 0;
  uint32_t length = 0;  // of its payload
  uint16_t window = 0;
  uint8_t flags = 0;
};

/// Is `a` behind `b` in sequence space?
constexpr bool is_before(uint32_t a, uint32_t b) noexcept { return static_cast<int32_t>(a - b) < 0; }

/// Segments that come again, or after a later one: which of them it is, the latest gap tells. What lies in the gap was
/// not seen before, so it was overtaken; what lies elsewhere was.
inline void follow_sequence(Direction& way, const Segment& segment) noexcept {
  const uint32_t phantom = ((segment.flags & kSynFlag) != 0 ? 1 : 0) + ((segment.flags & kFinFlag) != 0 ? 1 : 0);
  const uint32_t taken = segment.length + phantom;
  if (taken == 0) return;
  const uint32_t end = segment.sequence + taken;
  if (way.next_sequence == 0 || (segment.flags & kSynFlag) != 0) {
    // A SYN that comes again says the same once more; one with another number begins anew.
    if (way.next_sequence == end && way.next_sequence != 0) way.retransmissions++;
    way.next_sequence = end;
    way.gap_from = way.gap_to = 0;
    return;
  }
  if (!is_before(segment.sequence, way.next_sequence)) {
    if (segment.sequence != way.next_sequence) {
      way.gap_from = way.next_sequence;
      way.gap_to = segment.sequence;
    }
    way.next_sequence = end;
    return;
  }
  // A keep-alive repeats one byte, or none, in front of the next one: that is no loss.
  if (segment.length <= 1 && phantom == 0 && segment.sequence == way.next_sequence - 1) return;
  const bool in_gap = !is_before(segment.sequence, way.gap_from) && is_before(segment.sequence, way.gap_to);
  if (in_gap && way.gap_from != way.gap_to) {
    way.out_of_order++;
    if (segment.sequence == way.gap_from) way.gap_from = is_before(end, way.gap_to) ? end : way.gap_to;
  } else {
    way.retransmissions++;
  }
  if (is_before(way.next_sequence, end)) way.next_sequence = end;
}

inline uint32_t micros(int64_t ns) noexcept {
  return static_cast<uint32_t>(std::clamp<int64_t>(ns / 1000, 0, UINT32_MAX));
}

/// Follows the handshake and the end. @param from_b who sends it @param time of it; `way` does not know it yet. True:
/// the flow has just been closed.
inline bool follow_state(Flow& flow, const Segment& segment, uint32_t from_b, int64_t time) noexcept {
  const uint8_t state = flow.state();
  const bool by_initiator = from_b == flow.initiator();
  const uint8_t flags = segment.flags;
  if ((flags & kSynFlag) != 0) {
    if (by_initiator && (flags & kAckFlag) == 0) flow.add_state(kSyn);
    if (!by_initiator && (flags & kAckFlag) != 0 && (state & (kSyn | kSynAck)) == kSyn) {
      flow.server_rtt_us = micros(time - flow.way[from_b ^ 1].last_ns);
      flow.add_state(kSynAck);
    }
  } else if (by_initiator && (flags & kAckFlag) != 0 && (state & (kSynAck | kOpened)) == kSynAck) {
    flow.client_rtt_us = micros(time - flow.way[from_b ^ 1].last_ns);
    flow.add_state(kOpened);
  }
  const bool was_closed = flow.is_closed();
  if ((flags & kRstFlag) != 0) flow.add_state(kReset);
  if (flow.is_finished() && (flags & (kAckFlag | kFinFlag | kSynFlag)) == kAckFlag) flow.add_state(kClosed);
  if ((flags & kFinFlag) != 0) flow.add_state(from_b != 0 ? kFinB : kFinA);
  return !was_closed && flow.is_closed();
}

}  // namespace ringtap::flow
