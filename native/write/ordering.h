// Packets of several captures, put into the order of their times.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/region.h"
#include "format/encoder.h"

namespace ringtap {

/// Each packet is kept, as a copy, for as long as others may be late, or as there is memory for it; then the earliest
/// goes first, and of equal ones the one that came first.
class Ordering {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param bytes that packets are kept in; beside it as much as three eighths of that may be taken
  static Result<std::unique_ptr<Ordering>> create(std::chrono::milliseconds lateness, size_t bytes);
  Ordering(const Ordering&) = delete;
  Ordering& operator=(const Ordering&) = delete;

  /// Copies the packets to take of the batch from the `next`-th on, advancing it, for as long as there is memory. On an
  /// error those before the bad one are taken.
  std::optional<Error> take(const BatchView& batch, uint32_t& next, const PacketLimits& limits, Clock::time_point now);

  bool is_empty() const noexcept { return heap_.empty() && at_ == staged_.size(); }
  /// Whether take() could take something.
  bool has_room() const noexcept { return heap_.size() < heap_.capacity() && (filling_ != kNone || !free_.empty()); }
  /// When the packets that are kept longest have been so for long enough.
  std::optional<Clock::time_point> due() const noexcept;

  /// The next packets, all of one source and one link type. Nothing: there are none, or none that are due by `now`.
  /// Valid until the next call of anything.
  std::optional<BatchView> next(Clock::time_point now) { return next_until(due_by(now)); }
  /// The same, due or not.
  std::optional<BatchView> next_of_all() { return next_until(UINT64_MAX); }
  /// So many of them are done with.
  void consume(uint32_t packets) noexcept;

  /// How many packets went behind one of a later time.
  uint64_t late() const noexcept { return late_; }

 private:
  static constexpr uint32_t kChunkBytes = 1 << 20;
  static constexpr uint32_t kStaged = 1024;
  static constexpr uint32_t kNone = UINT32_MAX;

  /// In front of the bytes of a packet.
  struct Header {
    uint64_t lost;
    uint32_t caplen;
    uint32_t wirelen;
    uint32_t flags;
    uint32_t link_type;
    uint16_t source;
    uint16_t queue;
    uint32_t has_queue;
  };
  struct Kept {
    uint64_t unix_ns;
    uint64_t number;
    uint32_t offset;  // of its header
  };
  /// What came up to then is due by then and the lateness.
  struct Mark {
    Clock::time_point at;
    uint64_t latest_ns;
  };

  Ordering(std::chrono::milliseconds lateness, std::shared_ptr<Region> memory);

  static bool is_after(const Kept& a, const Kept& b) noexcept;
  std::byte* place(size_t bytes);
  void mark(Clock::time_point now);
  uint64_t due_by(Clock::time_point now);
  std::optional<BatchView> next_until(uint64_t unix_ns);
  void stage(uint64_t unix_ns);

  const std::chrono::milliseconds lateness_;
  const std::shared_ptr<Region> memory_;
  std::vector<uint32_t> in_chunk_;  // packets that are kept in each
  std::vector<uint32_t> free_;      // chunks
  uint32_t filling_ = kNone;
  uint32_t used_ = 0;  // of that chunk

  std::vector<Kept> heap_;  // the earliest on top
  uint64_t packets_ = 0;    // ever
  uint64_t latest_ns_ = 0;  // of those since the last mark
  std::deque<Mark> marks_;
  uint64_t due_ns_ = 0;  // packets up to this time need not wait

  DescBlock block_;  // the earliest packets, in their order,
  std::vector<Header> staged_;
  uint32_t at_ = 0;         // and how many of them are done with
  uint64_t staged_ns_ = 0;  // what their times count from
  uint64_t latest_given_ = 0;
  uint64_t late_ = 0;
};

}  // namespace ringtap
