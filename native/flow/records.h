// Records of flows, as columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "decode/headers.h"
#include "flow/flow.h"

namespace ringtap::flow {

/// Room for `capacity` records as a struct of arrays in the order of the members; lib/flow/columns.ts has the same. Of
/// pairs the first one is of what the initiator (the client, the source) sent.
struct Columns {
  static constexpr size_t kRecordBytes = 9 * 8 + 12 * 4 + 12 * 2 + 12 + 2 * 16;
  static constexpr size_t bytes_for(uint32_t capacity) { return size_t{capacity} * kRecordBytes; }
  /// @param memory aligned to 8
  static Columns over(std::byte* memory, uint32_t capacity) noexcept;

  double* id = nullptr;
  double* start = nullptr;  // ns from the meter's epoch
  double* end = nullptr;
  double* ip_bytes[2] = {};
  double* frame_bytes[2] = {};
  double* mean_gap_ns[2] = {};
  uint32_t* src4 = nullptr;
  uint32_t* dst4 = nullptr;
  uint32_t* packets[2] = {};
  uint32_t* retransmissions[2] = {};
  uint32_t* out_of_order[2] = {};
  uint32_t* server_rtt_us = nullptr;
  uint32_t* client_rtt_us = nullptr;
  uint32_t* tunnel_id = nullptr;
  uint32_t* sampling = nullptr;
  uint16_t* src_port = nullptr;
  uint16_t* dst_port = nullptr;
  uint16_t* outer_vlan = nullptr;
  uint16_t* inner_vlan = nullptr;
  uint16_t* least_bytes[2] = {};
  uint16_t* most_bytes[2] = {};
  uint16_t* zero_windows[2] = {};
  uint16_t* part = nullptr;
  uint16_t* icmp_errors = nullptr;
  uint8_t* ip_version = nullptr;
  uint8_t* protocol = nullptr;
  uint8_t* tcp_flags[2] = {};
  uint8_t* least_ttl[2] = {};
  uint8_t* tunnel_kind = nullptr;
  uint8_t* ended = nullptr;  // Ended
  uint8_t* state = nullptr;  // 0 new, 1 established, 2 closed
  uint8_t* icmp_type = nullptr;
  uint8_t* icmp_code = nullptr;
  uint8_t* initiator_known = nullptr;  // by SYN
  decode::Address6* src6 = nullptr;    // written where ip_version is 6 only
  decode::Address6* dst6 = nullptr;
};

/// Records that wait to be drained, in pieces. Beyond so many, and where there is no memory for one more, a new record
/// is lost, which is counted: those that wait stay as they are.
class Records {
 public:
  static constexpr uint32_t kPiece = 4096;

  /// @param beginning_bytes how much of what both ends sent first goes with each record, lengths included
  Records(size_t most, uint32_t beginning_bytes) noexcept : most_(most), beginning_bytes_(beginning_bytes) {}

  /// @param beginnings of both ends, A's first, or null where there are none
  void add(const Flow& flow, const Side& side, Ended ended, uint32_t sampling, int64_t epoch_ns,
           const std::byte* beginnings = nullptr) noexcept;

  size_t waiting() const noexcept { return waiting_; }
  uint64_t lost() const noexcept { return lost_; }
  /// How many the next drain() gives at most.
  uint32_t next() const noexcept { return pieces_.empty() ? 0 : pieces_.front().count - taken_; }
  /// Moves up to `capacity` records into columns of the caller's. Gives how many. @param beginnings room for as many,
  /// each beginning_bytes() of the source's and then of the destination's, or null
  uint32_t drain(const Columns& into, uint32_t capacity, std::byte* beginnings = nullptr) noexcept;
  size_t beginning_bytes() const noexcept { return beginning_bytes_; }

 private:
  struct Piece {
    std::unique_ptr<std::byte[]> memory;
    Columns columns;
    std::byte* beginnings = nullptr;  // behind the columns
    uint32_t count = 0;
  };

  Piece* last() noexcept;
  size_t piece_bytes() const noexcept { return Columns::bytes_for(kPiece) + size_t{kPiece} * 2 * beginning_bytes_; }

  std::deque<Piece> pieces_;
  std::unique_ptr<std::byte[]> spare_;
  uint32_t taken_ = 0;  // of the first piece
  size_t most_;
  size_t beginning_bytes_;
  size_t waiting_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace ringtap::flow
