#include "write/ordering.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "core/untrusted.h"
#include "format/checked_packet.h"

namespace ringtap {
namespace {

constexpr uint32_t kAlign = 8;
/// As many packets as there is memory for if they are as short as they come.
constexpr size_t kLeastBytes = 64;
/// What came this close together is due together.
constexpr int kMarksInLateness = 8;

}  // namespace

Result<std::unique_ptr<Ordering>> Ordering::create(std::chrono::milliseconds lateness, size_t bytes) {
  constexpr size_t kLeastChunks = 2;
  const size_t chunks = std::clamp(bytes / kChunkBytes, kLeastChunks, kMaxSegmentBytes / kChunkBytes);
  auto memory = Region::allocate(chunks * kChunkBytes);
  if (!memory) return std::move(memory).error();
  try {
    return std::unique_ptr<Ordering>(new Ordering(lateness, *std::move(memory)));
  } catch (const std::bad_alloc&) {
    return Error{.code = Code::kNoMemory, .message = "no memory to put packets in order"};
  }
}

Ordering::Ordering(std::chrono::milliseconds lateness, std::shared_ptr<Region> memory)
    : lateness_(lateness), memory_(std::move(memory)), in_chunk_(memory_->bytes() / kChunkBytes), block_(kStaged) {
  for (auto chunk = static_cast<uint32_t>(in_chunk_.size()); chunk > 0; chunk--) free_.push_back(chunk - 1);
  heap_.reserve(memory_->bytes() / kLeastBytes);
  staged_.reserve(kStaged);
}

bool Ordering::is_after(const Kept& a, const Kept& b) noexcept {
  return a.unix_ns != b.unix_ns ? a.unix_ns > b.unix_ns : a.number > b.number;
}

std::optional<Error> Ordering::take(const BatchView& batch, uint32_t& next, const PacketLimits& limits,
                                    Clock::time_point now) {
  std::optional<Error> error;
  for (; next < batch.size(); next++) {
    const uint32_t index = batch.index(next);
    const CheckedPacket packet = check_packet(batch, index, limits);
    if (packet.data == nullptr) [[unlikely]] {
      error = bad_packet(batch, index);
      break;
    }
    if (heap_.size() == heap_.capacity()) break;
    std::byte* const at = place(sizeof(Header) + packet.caplen);
    if (at == nullptr) break;
    const Header header{.lost = next == 0 ? batch.lost : 0,
                        .caplen = packet.caplen,
                        .wirelen = packet.wirelen,
                        .flags = packet.flags & ~uint32_t{kFlagTimeInexact},
                        .link_type = batch.link_type,
                        .source = static_cast<uint16_t>(batch.source),
                        .queue = batch.queue != nullptr ? load_once(&batch.queue[index]) : uint16_t{0},
                        .has_queue = batch.queue != nullptr ? 1u : 0u};
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + sizeof header, packet.data, packet.caplen);
    heap_.push_back(
        {.unix_ns = packet.unix_ns, .number = packets_++, .offset = static_cast<uint32_t>(at - memory_->base())});
    std::push_heap(heap_.begin(), heap_.end(), is_after);
    latest_ns_ = std::max(latest_ns_, packet.unix_ns);
  }
  if (!heap_.empty()) mark(now);
  return error;
}

/// Memory of one chunk for so many bytes; null when there is none.
std::byte* Ordering::place(size_t bytes) {
  const auto room = static_cast<uint32_t>((bytes + kAlign - 1) & ~size_t{kAlign - 1});
  if (filling_ != kNone && kChunkBytes - used_ < room) {
    if (in_chunk_[filling_] == 0) free_.push_back(filling_);
    filling_ = kNone;
  }
  if (filling_ == kNone) {
    if (free_.empty()) return nullptr;
    filling_ = free_.back();
    free_.pop_back();
    used_ = 0;
  }
  std::byte* const at = memory_->base() + size_t{filling_} * kChunkBytes + used_;
  used_ += room;
  in_chunk_[filling_]++;
  return at;
}

void Ordering::mark(Clock::time_point now) {
  if (!marks_.empty() && now < marks_.back().at + lateness_ / kMarksInLateness) {
    marks_.back().latest_ns = std::max(marks_.back().latest_ns, std::exchange(latest_ns_, 0));
    return;
  }
  marks_.push_back({.at = now, .latest_ns = std::exchange(latest_ns_, 0)});
}

std::optional<Ordering::Clock::time_point> Ordering::due() const noexcept {
  if (is_empty()) return std::nullopt;
  if (at_ < staged_.size() || marks_.empty()) return Clock::time_point::min();
  // What came after the mark was made, and belongs to it, waits for long enough, too.
  return marks_.front().at + lateness_ + lateness_ / kMarksInLateness;
}

/// The time up to which packets need not wait any more.
uint64_t Ordering::due_by(Clock::time_point now) {
  // WHY not the latest ever: one packet with a clock of its own must not end all waiting.
  if (heap_.empty() || heap_.front().unix_ns > due_ns_) due_ns_ = 0;
  while (!marks_.empty() && now >= marks_.front().at + lateness_ + lateness_ / kMarksInLateness) {
    due_ns_ = std::max(due_ns_, marks_.front().latest_ns);
    marks_.pop_front();
  }
  return due_ns_;
}

std::optional<BatchView> Ordering::next_until(uint64_t unix_ns) {
  if (at_ == staged_.size()) stage(unix_ns);
  if (at_ == staged_.size()) return std::nullopt;
  Header& first = staged_[at_];
  uint32_t count = 1;
  while (at_ + count < staged_.size()) {
    const Header& other = staged_[at_ + count];
    if (other.source != first.source || other.link_type != first.link_type || other.has_queue != first.has_queue ||
        other.lost > 0) {
      break;
    }
    count++;
  }
  BatchView view = BatchView::of(block_, count, memory_->base(), memory_->bytes(), static_cast<int64_t>(staged_ns_),
                                 first.link_type);
  view.time += at_;
  view.rest += at_;
  view.offset += at_;
  view.caplen += at_;
  view.wirelen += at_;
  view.flags += at_;
  view.vlan += at_;
  view.queue = first.has_queue != 0 ? view.queue + at_ : nullptr;
  view.source = first.source;
  view.lost = std::exchange(first.lost, 0);  // whoever asks again was told
  return view;
}

/// Takes the earliest packets, up to this time.
void Ordering::stage(uint64_t unix_ns) {
  staged_.clear();
  at_ = 0;
  if (!heap_.empty()) staged_ns_ = heap_.front().unix_ns;
  while (staged_.size() < kStaged && !heap_.empty() && heap_.front().unix_ns <= unix_ns) {
    std::pop_heap(heap_.begin(), heap_.end(), is_after);
    const Kept kept = heap_.back();
    heap_.pop_back();
    Header header;
    std::memcpy(&header, memory_->base() + kept.offset, sizeof header);
    const auto i = static_cast<uint32_t>(staged_.size());
    block_.set_basic(i, kept.offset + sizeof(Header), header.caplen, header.wirelen,
                     static_cast<int64_t>(kept.unix_ns - staged_ns_), header.flags);
    block_.queue[i] = header.queue;
    staged_.push_back(header);
    if (kept.unix_ns < latest_given_) late_++;
    latest_given_ = std::max(latest_given_, kept.unix_ns);
  }
  if (!heap_.empty()) return;
  marks_.clear();
  due_ns_ = 0;
}

void Ordering::consume(uint32_t packets) noexcept {
  for (uint32_t i = at_; i < at_ + packets; i++) {
    const uint32_t chunk = block_.offset[i] / kChunkBytes;
    if (--in_chunk_[chunk] > 0) continue;
    if (chunk == filling_) {
      used_ = 0;
    } else {
      free_.push_back(chunk);
    }
  }
  at_ += packets;
}

}  // namespace ringtap
