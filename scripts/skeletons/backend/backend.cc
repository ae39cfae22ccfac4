#include "backends/@name@/@name@.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "core/arena.h"
#include "filter/placement.h"

namespace ringtap::@name@ {

namespace {

using Clock = std::chrono::steady_clock;

/// A working source to start from: packets are made as they come due, `rate` a second, in chunks of an arena that are lent
/// whole. Yours takes them from somewhere else: due() and write_frame() are what to replace first.
class @Name@ final : public Source {
 public:
  @Name@(SourceInfo info, Arena arena, const Options& options)
      : info_(std::move(info)),
        arena_(std::move(arena)),
        rate_(options.number("rate", 1000)),
        limit_(options.integer("count") > 0 ? static_cast<uint64_t>(options.integer("count")) : UINT64_MAX) {}

  const SourceInfo& info() const noexcept override { return info_; }

  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override {
    auto program = filter->program(info_.link_type);
    if (!program) return std::move(program).error();
    return filter_.place_here(**program, "packets that are made here pass no kernel");
  }

  Result<Ok> start() override {
    started_ = Clock::now();
    return Ok{};
  }

  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    if (closed_) return {.rx = Rx::kEof};
    if (arena_.exhausted()) return {.rx = Rx::kNoBuffer};
    const uint64_t end = due();
    const uint32_t room = std::min(max, arena_.chunk_bytes() / kFrameBytes);
    uint32_t offset = arena_.next_offset();
    uint32_t n = 0;
    uint64_t next = next_.load(std::memory_order_relaxed);
    filter_.renew();
    while (n < room && next < end && !filter_.used_up()) {
      std::byte* frame = arena_.region()->base() + offset;
      write_frame(frame, next);
      const auto time_ns = static_cast<int64_t>(static_cast<double>(next++) * 1e9 / rate_);
      const uint32_t keep = std::min({filter_.keep(frame, kFrameBytes, kFrameBytes), info_.snaplen, kFrameBytes});
      if (keep == 0) continue;  // the next one takes its place
      block.set_basic(n++, offset, keep, kFrameBytes, time_ns, 0);
      offset += kFrameBytes;
    }
    next_.store(next, std::memory_order_relaxed);
    if (n == 0) return {.rx = next < limit_ ? Rx::kAgain : Rx::kEof};
    delivered_ += n;
    return {.rx = Rx::kOk, .count = n, .segment = 0, .link_type = info_.link_type, .lease = arena_.lend()};
  }

  bool release(Lease lease) noexcept override { return arena_.release(lease); }

  // What has a descriptor to wait for says kFd: it is cheaper, and sooner.
  Readiness readiness() const noexcept override { return {.kind = Readiness::Kind::kPoll, .max_sleep_us = 100}; }
  bool pending() const noexcept override {
    const uint64_t next = next_.load(std::memory_order_relaxed);
    return next >= limit_ || due() > next;
  }

  // None is lost: what nobody takes is made later. A cause that a method cannot count is left out, not zero.
  Stats stats() const noexcept override {
    Stats stats;
    stats.received = next_.load(std::memory_order_relaxed);
    stats.delivered = delivered_;
    stats.filtered = filter_.filtered();
    stats.delivered_bytes = delivered_ * kFrameBytes;
    return stats;
  }

  const Error& error() const noexcept override { return error_; }

  void close() noexcept override {
    closed_ = true;
    info_.segments.clear();  // the arena keeps its memory until the source goes, or whoever else holds the region
  }

 private:
  /// Packets that exist by now.
  uint64_t due() const noexcept {
    const std::chrono::duration<double> elapsed = Clock::now() - started_;
    return std::min(limit_, static_cast<uint64_t>(elapsed.count() * rate_));
  }

  SourceInfo info_;
  Arena arena_;
  const double rate_;
  const uint64_t limit_;
  UserFilter filter_;
  Error error_;  // why receive() said kError or kNotice
  Clock::time_point started_{};
  std::atomic<uint64_t> next_{0};  // pending() reads it on another thread
  uint64_t delivered_ = 0;
  bool closed_ = false;
};

}  // namespace

void write_frame(std::byte* out, uint64_t number) noexcept {
  static constexpr uint8_t kHeaders[] = {
      2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,                                  // Ethernet
      0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17, 0x26, 0xb9, 10, 0, 0, 1, 10, 0, 0, 2,     // IPv4
      0xc0, 0, 0, 9, 0, 30, 0, 0,                                                      // UDP from 49152 + number % 64
  };
  std::memcpy(out, kHeaders, sizeof kHeaders);
  out[35] = static_cast<std::byte>(number % 64);
  for (uint32_t i = 0; i < 8; i++) out[42 + i] = static_cast<std::byte>(number >> (56 - 8 * i));
  for (uint32_t i = 50; i < kFrameBytes; i++) out[i] = static_cast<std::byte>(number * 7 + i);
}

}  // namespace ringtap::@name@

namespace ringtap {

Result<std::unique_ptr<Source>> open_@name@(const OpenRequest& request) {
  auto arena = Arena::allocate(static_cast<uint64_t>(request.options.integer("bufferBytes", 4 << 20)), @name@::kFrameBytes);
  if (!arena) return std::move(arena).error();
  SourceInfo info;
  info.mode = "copy";
  info.copies = true;
  info.timestamp_source = "synthetic";
  info.snaplen = static_cast<uint32_t>(request.options.integer("snaplen", 262144));
  info.max_leases = arena->chunks();
  info.segments = {{arena->region(), arena->region()->base(), arena->region()->bytes()}};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  info.epoch_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return std::unique_ptr<Source>(std::make_unique<@name@::@Name@>(std::move(info), *std::move(arena), request.options));
}

// Where it needs what a host may lack, this says what, and how to get it.
Probe probe_@name@() { return {}; }

std::vector<Device> devices_@name@() { return {}; }

}  // namespace ringtap
