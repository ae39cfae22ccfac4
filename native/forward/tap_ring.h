// Packets for somebody who looks on, in a ring that never holds up whoever fills it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/lease.h"
#include "core/region.h"
#include "core/source.h"
#include "core/unique_fd.h"
#include "forward/frame.h"

namespace ringtap::forward {

/// One thread fills it, another one reads it by a TapSource. What finds no room is counted, and gone.
class TapRing {
 public:
  static constexpr uint32_t kMostBatches = 16;  // that may be lent at once

  /// `bytes`: from 1 MiB to kMaxSegmentBytes.
  static Result<std::shared_ptr<TapRing>> create(size_t bytes);

  /// Copies a frame, its checksum completed: what the wire would have had.
  void push(uint16_t port, const Frame& frame, int64_t time_ns, uint32_t flags) noexcept;
  /// After some of these: wakes the reader, if he sleeps.
  void flush() noexcept;
  /// Nothing comes any more. Any thread.
  void end() noexcept;

 private:
  friend class TapSource;

  /// WHY beside the bytes: those are memory that JavaScript may write to.
  struct Item {
    uint64_t at;  // where it ends, in bytes that were ever given out
    uint32_t offset;
    uint32_t length;
    int64_t time_ns;
    uint32_t flags;
    uint16_t port;
  };

  TapRing(std::shared_ptr<Region> region, UniqueFd wakes);

  const std::shared_ptr<Region> region_;
  const UniqueFd wakes_;
  const int64_t epoch_ns_;
  std::vector<Item> items_;
  uint64_t given_ = 0;                // bytes, by whoever fills it
  std::atomic<uint64_t> freed_{0};    // bytes, by whoever reads it
  std::atomic<uint64_t> filled_{0};   // items
  std::atomic<uint64_t> read_{0};     // items
  std::atomic<uint64_t> dropped_{0};  // packets that found no room
  std::atomic<bool> sleeps_{true};    // the reader wants to be woken
  std::atomic<bool> ended_{false};
  std::atomic<bool> abandoned_{false};  // nobody reads it any more
};

/// The reader's end. Packets have the numbers of their interfaces for queues. kEof after end(), once all was read.
class TapSource final : public Source {
 public:
  explicit TapSource(std::shared_ptr<TapRing> ring);

  const SourceInfo& info() const noexcept override { return info_; }
  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override;
  Result<Ok> start() override { return Ok{}; }
  RxBatch receive(DescBlock& block, uint32_t max) noexcept override;
  bool release(Lease lease) noexcept override;
  Readiness readiness() const noexcept override;
  Stats stats() const noexcept override;
  const Error& error() const noexcept override { return error_; }
  void close() noexcept override;

 private:
  const std::shared_ptr<TapRing> ring_;
  SourceInfo info_;
  OrderedLeases leases_;
  uint64_t delivered_ = 0, delivered_bytes_ = 0;
  bool is_closed_ = false;
  Stats last_;  // once it is closed
  const Error error_ = {};
};

}  // namespace ringtap::forward
