// A flow in the table.
#pragma once

#include <algorithm>
#include <cstdint>

#include "flow/key.h"

namespace ringtap::flow {

/// Why a record was made; lib/flow names them in the same order.
enum class Ended : uint8_t { kIdle, kActive, kFin, kRst, kEvicted, kFlushed };
constexpr size_t kEndings = 6;

/// Bits of a flow's state.
enum State : uint8_t {
  kFromB = 1,        // B is the initiator
  kSyn = 1 << 1,     // the initiator has sent SYN
  kSynAck = 1 << 2,  // … and it was answered
  kOpened = 1 << 3,  // … and the answer was, too
  kFinA = 1 << 4,
  kFinB = 1 << 5,
  kReset = 1 << 6,
  kClosed = 1 << 7,  // both ends have sent FIN, and the last of them was answered
};

/// What one end has sent, since the last record.
struct Direction {
  int64_t first_ns;
  int64_t last_ns;  // kept beyond a record
  uint64_t ip_bytes;
  uint64_t frame_bytes;
  uint32_t packets;
  uint32_t next_sequence;  // what follows the latest byte; 0: nothing was sent
  uint32_t gap_from;       // the latest gap before it
  uint32_t gap_to;
  uint32_t retransmissions;
  uint32_t out_of_order;
  uint16_t least_bytes;  // of an IP packet; 65535 stands for more, too
  uint16_t most_bytes;
  uint16_t zero_windows;
  uint8_t tcp_flags;
  uint8_t least_ttl;
};
static_assert(sizeof(Direction) == 64);

/// Three cache lines: what it is, and what each end has sent. `way` 0 is A, 1 is B, as the key has them.
struct alignas(64) Flow {
  Key key;  // the top byte of words[5] is the state
  uint64_t id;
  uint32_t server_rtt_us;  // from SYN to its answer
  uint32_t client_rtt_us;  // from there to the answer's
  Direction way[2];

  uint8_t state() const noexcept { return static_cast<uint8_t>(key.words[5] >> 56); }
  void add_state(uint8_t bits) noexcept { key.words[5] |= uint64_t{bits} << 56; }

  bool is(const Key& other) const noexcept {
    const auto& a = key.words;
    const auto& b = other.words;
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | ((a[5] ^ b[5]) << 8)) == 0;
  }
  uint32_t initiator() const noexcept { return state() & kFromB; }
  int64_t last_ns() const noexcept { return std::max(way[0].last_ns, way[1].last_ns); }
  bool has_packets() const noexcept { return (way[0].packets | way[1].packets) != 0; }
  int64_t first_ns() const noexcept {
    if (way[0].packets == 0) return way[1].first_ns;
    return way[1].packets == 0 ? way[0].first_ns : std::min(way[0].first_ns, way[1].first_ns);
  }
  bool is_finished() const noexcept { return (state() & (kFinA | kFinB)) == (kFinA | kFinB); }
  /// Nothing is to come but stragglers.
  bool is_closed() const noexcept { return (state() & (kReset | kClosed)) != 0; }
};
static_assert(sizeof(Flow) == 192);

/// What is not looked at for each packet.
struct Side {
  uint32_t next;  // in the bucket of the wheel, or of the free ones
  uint32_t prev;
  uint16_t bucket;  // and which of its lists
  uint16_t part;    // records that were made of it
  uint16_t icmp_errors;
  uint8_t icmp_type;  // of ICMP the first packet's; else the last error's that quoted the flow
  uint8_t icmp_code;
};
static_assert(sizeof(Side) == 16);

constexpr uint32_t kNoFlow = UINT32_MAX;

}  // namespace ringtap::flow
