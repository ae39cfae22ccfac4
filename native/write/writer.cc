#include "write/writer.h"

#include <algorithm>
#include <utility>

#include "core/thread.h"

namespace ringtap {

Result<std::shared_ptr<TraceWriter>> TraceWriter::create(WriterRequest request) {
  request.snaplen = std::clamp(request.snaplen, uint32_t{1}, kMaxSnaplen);
  auto region = Region::allocate(size_t{kBuffers} * kBufferBytes);
  if (!region) return std::move(region).error();
  const std::shared_ptr<TraceWriter> writer(new TraceWriter(std::move(request), *std::move(region)));
  auto thread = start_thread([writer] { writer->run(); });
  if (!thread) {
    thread.error().message = writer->request_.to.name + ": " + thread.error().message;
    return std::move(thread).error();
  }
  thread->detach();
  return std::shared_ptr<TraceWriter>(writer.get(), [writer](TraceWriter*) { writer->finish(); });
}

TraceWriter::TraceWriter(WriterRequest request, std::shared_ptr<Region> region)
    : request_(std::move(request)), region_(std::move(region)) {
  for (uint32_t i = 0; i < kBuffers; i++) {
    buffers_[i] = {.data = region_->base() + size_t{i} * kBufferBytes, .capacity = kBufferBytes};
    free_.push_back(&buffers_[i]);
  }
  take_free();
}

bool TraceWriter::is_open() const {
  const std::scoped_lock lock(mutex_);
  return open_;
}

TraceWriter::Ticket TraceWriter::when_tried(Done done) {
  std::unique_lock lock(mutex_);
  const Ticket ticket = add(for_try_, std::move(done));
  if (tried_ || ended_) tell(lock, for_try_, outcome());
  return ticket;
}

Result<uint32_t> TraceWriter::append(const BatchView& batch, uint32_t first) {
  constexpr int64_t kFar = int64_t{1} << 62;
  if (batch.epoch_ns > kFar || batch.epoch_ns < -kFar) {
    return Error{.code = Code::kBadOption,
                 .message = request_.to.name + ": the batch has an epoch that no format can hold"};
  }
  uint32_t next = first;
  // Locked anew for each buffer, so that the thread can write one while the next is filled.
  for (;;) {
    const std::scoped_lock lock(mutex_);
    if ((error_ || closing_) && next > first) return next;
    if (error_) return *error_;
    if (closing_) return Error{.code = Code::kClosed, .message = request_.to.name + ": the writer is closed"};
    if (!open_ || next >= batch.size() || !take_free()) return next;
    std::optional<Error> error;
    if (!encoder_) error = begin(batch.link_type);
    if (!error) {
      const bool was_empty = filling_->used == 0;
      const uint32_t from = next;
      error = encoder_->encode(batch, next, *filling_);
      taken_ += next - from;
      if (was_empty && filling_->used > 0) is_due(request_.delay);
    }
    if (error) return *named(std::move(error));
    if (next >= batch.size()) return next;
    hand_over();
  }
}

TraceWriter::Ticket TraceWriter::when_room(Done done) {
  std::unique_lock lock(mutex_);
  const Ticket ticket = add(for_room_, std::move(done));
  const bool is_room = open_ && (filling_ != nullptr || !free_.empty());
  if (is_room || closing_ || error_) tell(lock, for_room_, outcome());
  return ticket;
}

TraceWriter::Ticket TraceWriter::flush(Done done) {
  std::unique_lock lock(mutex_);
  hand_over();
  const bool is_written = written_ >= handed_over_ || ended_;
  Waiting flushed;
  const Ticket ticket = add(is_written ? flushed : for_written_, std::move(done));
  if (is_written) tell(lock, flushed, outcome());
  work_.notify_one();
  return ticket;
}

void TraceWriter::set_drop_counts(uint64_t received, uint64_t dropped) {
  const std::scoped_lock lock(mutex_);
  drop_counts_ = DropCounts{.received = received, .dropped = dropped};
}

TraceWriter::Ticket TraceWriter::close(Done done) {
  finish();
  return when_ended(std::move(done));
}

void TraceWriter::leave(std::chrono::milliseconds patience) {
  give_up_.store(true, std::memory_order_relaxed);
  finish();
  std::unique_lock lock(mutex_);
  no_longer_.wait_for(lock, patience, [this] { return ended_; });
}

TraceWriter::Ticket TraceWriter::when_ended(Done done) {
  std::unique_lock lock(mutex_);
  const Ticket ticket = add(for_end_, std::move(done));
  if (ended_) tell(lock, for_end_, outcome());
  return ticket;
}

bool TraceWriter::forget(Ticket ticket) {
  const std::scoped_lock lock(mutex_);
  for (Waiting* waiting : {&for_try_, &for_room_, &for_written_, &for_end_}) {
    if (std::erase_if(*waiting, [ticket](const Waiter& waiter) { return waiter.ticket == ticket; }) > 0) return true;
  }
  return false;
}

TraceWriter::Counts TraceWriter::counts() const {
  const std::scoped_lock lock(mutex_);
  return {.packets = packets_, .bytes = bytes_, .queued = taken_ - packets_};
}

void TraceWriter::finish() {
  const std::scoped_lock lock(mutex_);
  closing_ = true;
  work_.notify_one();
}

// With mutex_ held:

/// Tells who waits, without the lock: they may call the writer again.
void TraceWriter::tell(std::unique_lock<std::mutex>& lock, Waiting& waiting, const Result<Ok>& outcome) {
  const auto told = std::exchange(waiting, {});
  lock.unlock();
  for (const Waiter& waiter : told) waiter.done(outcome);
  lock.lock();
}

TraceWriter::Ticket TraceWriter::add(Waiting& waiting, Done done) {
  waiting.push_back({.ticket = ++tickets_, .done = std::move(done), .buffers = handed_over_});
  return tickets_;
}

Result<Ok> TraceWriter::outcome() const {
  if (error_) return *error_;
  return Ok{};
}

/// As messages show it.
std::optional<Error> TraceWriter::named(std::optional<Error> error) const {
  if (error) error->message = request_.to.name + ": " + error->message;
  return error;
}

/// The link type is known: what the file begins with.
std::optional<Error> TraceWriter::begin(uint32_t link_type) {
  if (link_type > UINT16_MAX) {
    return Error{.code = Code::kBadOption, .message = "link type " + std::to_string(link_type) + " is above 65535"};
  }
  const EncoderOptions options{.link_type = link_type,
                               .snaplen = request_.snaplen,
                               .nanosecond = request_.nanosecond,
                               .application = request_.application,
                               .comment = request_.comment};
  encoder_ = request_.format == TraceFormat::kPcap ? make_pcap_encoder(options) : make_pcapng_encoder(options);
  encoder_->header(*filling_);
  filling_->begins_file = true;
  is_due(std::chrono::milliseconds(0));
  return std::nullopt;
}

/// Begins another buffer. False when none is free.
bool TraceWriter::take_free() {
  if (filling_ != nullptr) return true;
  if (free_.empty()) return false;
  filling_ = free_.back();
  free_.pop_back();
  return true;
}

/// What the buffer that is being filled holds is to be written after this time.
void TraceWriter::is_due(std::chrono::milliseconds after) {
  due_ = Clock::now() + after;
  work_.notify_one();
}

/// Queues the buffer that is being filled.
void TraceWriter::hand_over() {
  if (filling_ == nullptr || filling_->used == 0) return;
  full_.push_back(std::exchange(filling_, nullptr));
  handed_over_++;
  work_.notify_one();
}

}  // namespace ringtap
