#include "forward/tap_ring.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/clock.h"

namespace ringtap::forward {

namespace {

constexpr size_t kLeastBytes = 1 << 20;
constexpr size_t kBytesForItem = 128;  // of which there are as many as packets of so many bytes
constexpr uint64_t kAlign = 8;

}  // namespace

TapRing::TapRing(std::shared_ptr<Region> region, UniqueFd wakes)
    : region_(std::move(region)),
      wakes_(std::move(wakes)),
      epoch_ns_(epoch_now_ns()),
      items_(region_->bytes() / kBytesForItem) {}

Result<std::shared_ptr<TapRing>> TapRing::create(size_t bytes) {
  auto region = Region::allocate(std::clamp(bytes, kLeastBytes, kMaxSegmentBytes));
  if (!region) return std::move(region).error();
  UniqueFd wakes(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakes) return system_error(Code::kSystem, "a tap", "eventfd", errno);
  return std::shared_ptr<TapRing>(new TapRing(*std::move(region), std::move(wakes)));
}

void TapRing::push(uint16_t port, const Frame& frame, int64_t time_ns, uint32_t flags) noexcept {
  if (abandoned_.load(std::memory_order_relaxed)) return;
  const uint64_t filled = filled_.load(std::memory_order_relaxed);
  const uint64_t room = region_->bytes();
  uint64_t at = given_;
  // A packet lies in one piece.
  if (at % room + frame.length > room) at += room - at % room;
  const uint64_t end = at + (frame.length + kAlign - 1) / kAlign * kAlign;
  const bool fits = end - freed_.load(std::memory_order_acquire) <= room &&
                    filled - read_.load(std::memory_order_acquire) < items_.size();
  if (!fits) {
    dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  const auto offset = static_cast<uint32_t>(at % room);
  std::byte* to = region_->base() + offset;
  std::memcpy(to, frame.data, frame.length);
  if (frame.offload.is_partial()) {
    Frame copy = frame;
    copy.data = to;
    complete_sum(copy);
  }
  items_[filled % items_.size()] = {.at = end,
                                    .offset = offset,
                                    .length = frame.length,
                                    .time_ns = time_ns - epoch_ns_,
                                    .flags = flags,
                                    .port = port};
  given_ = end;
  filled_.store(filled + 1, std::memory_order_release);
}

void TapRing::flush() noexcept {
  // WHY in one order with filled_: the reader says that he sleeps, then looks once more.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (filled_.load(std::memory_order_relaxed) == read_.load(std::memory_order_relaxed)) return;
  if (sleeps_.exchange(false)) eventfd_write(wakes_.get(), 1);
}

void TapRing::end() noexcept {
  ended_.store(true);
  eventfd_write(wakes_.get(), 1);
}

TapSource::TapSource(std::shared_ptr<TapRing> ring) : ring_(std::move(ring)), leases_(TapRing::kMostBatches) {
  info_.epoch_ns = ring_->epoch_ns_;
  info_.segments.push_back({ring_->region_, ring_->region_->base(), ring_->region_->bytes()});
  info_.max_leases = TapRing::kMostBatches;
  info_.copies = true;
  info_.mode = "memory";
  info_.timestamp_source = "kernel";
}

Result<FilterPlacement> TapSource::set_filter(std::shared_ptr<Filter>) {
  return Error{.code = Code::kUnsupported, .message = "a tap has no filter"};
}

RxBatch TapSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (is_closed_) return {.rx = Rx::kEof};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  const uint64_t read = ring_->read_.load(std::memory_order_relaxed);
  // WHY before the packets are looked for: those that came before the end are there then.
  bool is_over = ring_->ended_.load();
  uint64_t filled = ring_->filled_.load(std::memory_order_acquire);
  if (filled == read && !is_over) {
    eventfd_t count = 0;
    eventfd_read(ring_->wakes_.get(), &count);
    ring_->sleeps_.store(true);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    is_over = ring_->ended_.load();
    filled = ring_->filled_.load(std::memory_order_acquire);
    if (is_over) eventfd_write(ring_->wakes_.get(), 1);  // which may just have been read
  }
  if (filled == read) return {.rx = is_over ? Rx::kEof : Rx::kAgain};
  const auto count = static_cast<uint32_t>(std::min<uint64_t>(max, filled - read));
  uint64_t end = 0;
  for (uint32_t i = 0; i < count; i++) {
    const TapRing::Item& item = ring_->items_[(read + i) % ring_->items_.size()];
    block.set(i, {.offset = item.offset,
                  .caplen = item.length,
                  .wirelen = item.length,
                  .time_ns = item.time_ns,
                  .flags = item.flags,
                  .queue = item.port});
    delivered_bytes_ += item.length;
    end = item.at;
  }
  delivered_ += count;
  ring_->read_.store(read + count, std::memory_order_release);
  return {.rx = Rx::kOk, .count = count, .segment = 0, .link_type = info_.link_type, .lease = leases_.lend(end)};
}

bool TapSource::release(Lease lease) noexcept {
  if (!leases_.release(lease)) return false;
  ring_->freed_.store(leases_.freed(), std::memory_order_release);
  return true;
}

Readiness TapSource::readiness() const noexcept {
  return {.kind = Readiness::Kind::kFd, .fd = ring_->wakes_.get(), .owned = true};
}

Stats TapSource::stats() const noexcept {
  if (is_closed_) return last_;
  Stats stats;
  // WHY in this order: what comes meanwhile is pending, or not seen yet.
  stats.delivered = delivered_;
  stats.delivered_bytes = delivered_bytes_;
  stats.dropped = ring_->dropped_.load(std::memory_order_relaxed);
  stats.pending = ring_->filled_.load(std::memory_order_acquire) - delivered_;
  stats.received = stats.delivered + stats.dropped + stats.pending;
  stats.drops = {{"ring", stats.dropped}};
  return stats;
}

void TapSource::close() noexcept {
  if (is_closed_) return;
  last_ = stats();
  is_closed_ = true;
  ring_->abandoned_.store(true, std::memory_order_relaxed);
  info_.segments.clear();
}

}  // namespace ringtap::forward
