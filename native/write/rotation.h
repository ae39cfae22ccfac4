// Where one file of a trace ends and the next begins.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "format/encoder.h"

namespace ringtap {

/// When a file is complete; 0: not by that. The next begins with the next packet, so that none is empty.
struct RotateRequest {
  uint64_t bytes = 0;  // it never has more, but for one packet that is larger
  uint64_t packets = 0;
  int64_t period_ns = 0;    // by the times of packets: boundaries lie this far apart, so that nothing drifts,
  bool on_clock = false;    // from 1970 on; else from the first packet on
  uint64_t most_files = 0;  // after so many the writer is full
};

/// What goes into the file that is being filled.
class Rotation {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Rotation(const RotateRequest& request) : request_(request) {}

  bool is_last_file() const noexcept { return request_.most_files > 0 && files_ >= request_.most_files; }

  /// Another file begins.
  void begin() noexcept;

  /// The packets of the batch up to this one belong to the file, as far as their number and times go; `next` itself:
  /// the file is complete.
  uint32_t end_of(const BatchView& batch, uint32_t next);

  /// No packet is in the file.
  bool is_empty() const noexcept { return packets_ == 0; }

  /// How many bytes may be added, but for a first packet.
  uint64_t bytes_left() const noexcept {
    if (request_.bytes == 0) return std::numeric_limits<uint64_t>::max();
    return request_.bytes > bytes_ ? request_.bytes - bytes_ : 0;
  }

  /// So many bytes and packets were added.
  void add(uint64_t bytes, uint64_t packets) noexcept {
    bytes_ += bytes;
    packets_ += packets;
    if (due_ && packets > 0) added_ = Clock::now();
  }

  /// When the file is complete, though no packet comes: its time is over, its packets were captured just then, and
  /// no more of them wait for a slow disk.
  std::optional<Clock::time_point> due() const noexcept;

 private:
  void starts_at(uint64_t unix_ns);

  const RotateRequest request_;
  uint64_t files_ = 0;
  uint64_t bytes_ = 0;
  uint64_t packets_ = 0;
  std::optional<uint64_t> start_ns_;  // of all files, where boundaries count from
  uint64_t end_ns_ = 0;               // of this file
  std::optional<Clock::time_point> due_;
  Clock::time_point added_;  // the last packet
};

}  // namespace ringtap
