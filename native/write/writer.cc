#include "write/writer.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#ifndef _WIN32
#include <signal.h>
#endif

#include "core/thread.h"

namespace ringtap {
namespace {

constexpr uint32_t kMostSnaplen = 262144;  // libpcap reads no longer packets
constexpr uint32_t kDefaultLinkType = 1;
constexpr std::chrono::milliseconds kLookForReader{50};

std::string shown(const std::string& path) { return path == "-" ? "standard output" : path; }

/// Tells who waits, without the lock: they may call the writer again.
void tell(std::unique_lock<std::mutex>& lock, std::vector<TraceWriter::Done>& waiting, const Result<Ok>& outcome) {
  const auto told = std::exchange(waiting, {});
  lock.unlock();
  for (const TraceWriter::Done& done : told) done(outcome);
  lock.lock();
}

/// Signals are for other threads; and a write(2) that fails is an error, not SIGPIPE or SIGXFSZ.
void block_signals() {
#ifndef _WIN32
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
}

}  // namespace

Result<std::shared_ptr<TraceWriter>> TraceWriter::create(WriterRequest request) {
  request.snaplen = std::clamp(request.snaplen, uint32_t{1}, kMostSnaplen);
  auto region = Region::allocate(size_t{kBuffers} * kBufferBytes);
  if (!region) return std::move(region).error();
  const std::shared_ptr<TraceWriter> writer(new TraceWriter(std::move(request), *std::move(region)));
  auto thread = start_thread([writer] { writer->run(); });
  if (!thread) {
    thread.error().message = writer->name_ + ": " + thread.error().message;
    return std::move(thread).error();
  }
  thread->detach();
  return std::shared_ptr<TraceWriter>(writer.get(), [writer](TraceWriter*) { writer->finish(); });
}

TraceWriter::TraceWriter(WriterRequest request, std::shared_ptr<Region> region)
    : request_(std::move(request)), name_(shown(request_.path)), region_(std::move(region)) {
  for (uint32_t i = 0; i < kBuffers; i++) {
    buffers_[i] = {.data = region_->base() + size_t{i} * kBufferBytes, .capacity = kBufferBytes};
    free_.push_back(&buffers_[i]);
  }
  take_free();
}

void TraceWriter::run() {
  block_signals();
  if (open_file()) {
    while (EncodeBuffer* buffer = next_full()) {
      if (!write_out(*buffer)) break;
    }
  }
  end();
}

bool TraceWriter::open_file() {
  for (;;) {
    auto file = OutputFile::open(request_.path, request_.append);
    std::unique_lock lock(mutex_);
    if (file) {
      existing_ = file->existing();
      file_.emplace(*std::move(file));
      if (request_.link_type) error_ = named(begin(*request_.link_type));
      hand_over();
      open_ = !error_;
      tell(lock, for_room_, outcome());
      return open_;
    }
    if (closing_ || !OutputFile::is_unread_pipe(file.error(), request_.path)) {
      error_ = std::move(file).error();
      return false;
    }
    tried_ = true;
    tell(lock, for_try_, Ok{});
    work_.wait_for(lock, kLookForReader, [this] { return closing_; });
  }
}

/// The next buffer to write; waits for it. Null when there will be none.
EncodeBuffer* TraceWriter::next_full() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!full_.empty()) return full_.front();
    const bool is_some = filling_ != nullptr && filling_->used > 0;
    if (!tried_) {
      tried_ = true;
      tell(lock, for_try_, Ok{});
    } else if (closing_ && !is_some && !encoder_) {
      error_ = named(begin(kDefaultLinkType));  // an empty capture makes an empty, valid trace
      if (error_) return nullptr;
    } else if (closing_ && !is_some && drop_counts_) {
      take_free();
      encoder_->trailer(*std::exchange(drop_counts_, {}), *filling_);
    } else if (closing_ && !is_some) {
      return nullptr;
    } else if (is_some && (closing_ || Clock::now() >= due_)) {
      hand_over();
    } else if (is_some) {
      work_.wait_until(lock, due_);
    } else {
      work_.wait(lock);
    }
  }
}

/// False when the buffer could not be written whole: then error_ says why.
bool TraceWriter::write_out(EncodeBuffer& buffer) {
  const size_t written = put(buffer);
  const int err = errno;
  const bool is_whole = written == buffer.used;
  Whole whole{.bytes = buffer.used, .packets = buffer.packets};
  if (!is_whole) whole = whole_records(buffer, written);
  const bool is_clean = whole.bytes == written || file_->take_back(written - whole.bytes);

  std::unique_lock lock(mutex_);
  packets_ += whole.packets;
  bytes_ += whole.bytes;
  if (!is_whole) {
    error_ = system_error(Code::kFileWrite,
                          name_ + ": cannot write beyond " + std::to_string(packets_) + " packets, " +
                              std::to_string(bytes_) + " bytes, which are " +
                              (is_clean ? "kept" : "followed by part of a record"),
                          "write", err);
    error_->position = static_cast<int64_t>(bytes_);
    return false;
  }
  buffer.used = 0;
  buffer.packets = 0;
  buffer.begins_file = false;
  full_.pop_front();
  free_.push_back(&buffer);
  written_++;
  Waiting flushed;
  for (; !for_written_.empty() && for_written_.front().first <= written_; for_written_.pop_front()) {
    flushed.push_back(std::move(for_written_.front().second));
  }
  tell(lock, for_room_, Ok{});
  tell(lock, flushed, Ok{});
  return true;
}

/// What the first `bytes` of the buffer hold of whole records.
TraceWriter::Whole TraceWriter::whole_records(const EncodeBuffer& buffer, size_t bytes) const {
  Whole whole;
  while (whole.bytes < bytes) {
    const Encoder::Record record = encoder_->record(buffer, whole.bytes);
    if (record.end > bytes) break;
    whole.bytes = record.end;
    whole.packets += record.is_packet ? 1 : 0;
  }
  return whole;
}

/// How many bytes of the buffer went out. Into a pipe, as many whole records at once as it takes whole or not at all:
/// whoever reads it never sees the beginning of a record without its end, however this process ends.
size_t TraceWriter::put(const EncodeBuffer& buffer) {
  uint32_t done = 0;
  while (done < buffer.used) {
    const size_t at_once = file_->bytes_at_once(give_up_);
    if (at_once == 0) return file_->write({buffer.data, buffer.used}, give_up_);
    uint32_t end = encoder_->record(buffer, done).end;
    while (end < buffer.used) {
      const uint32_t next = encoder_->record(buffer, end).end;
      if (next - done > at_once) break;
      end = next;
    }
    const size_t written = file_->write({buffer.data + done, end - done}, give_up_);
    if (written < end - done) return done + written;
    done = end;
  }
  return done;
}

void TraceWriter::end() {
  const int err = file_ ? file_->close() : 0;
  std::unique_lock lock(mutex_);
  if (err != 0 && !error_) error_ = system_error(Code::kFileWrite, name_ + ": cannot close", "close", err);
  closing_ = true;
  ended_ = true;
  no_longer_.notify_all();
  Waiting waiting = std::move(for_end_);
  for (Waiting* others : {&for_try_, &for_room_})
    std::move(others->begin(), others->end(), std::back_inserter(waiting));
  for (auto& flush : for_written_) waiting.push_back(std::move(flush.second));
  for_written_.clear();
  tell(lock, waiting, outcome());
}

bool TraceWriter::is_open() const {
  const std::scoped_lock lock(mutex_);
  return open_;
}

void TraceWriter::when_tried(Done done) {
  std::unique_lock lock(mutex_);
  for_try_.push_back(std::move(done));
  if (tried_ || ended_) tell(lock, for_try_, outcome());
}

Result<uint32_t> TraceWriter::append(const BatchView& batch, uint32_t first) {
  constexpr int64_t kFar = int64_t{1} << 62;
  if (batch.epoch_ns > kFar || batch.epoch_ns < -kFar) {
    return Error{.code = Code::kBadOption, .message = name_ + ": the batch has an epoch that no format can hold"};
  }
  uint32_t next = first;
  // Locked anew for each buffer, so that the thread can write one while the next is filled.
  for (;;) {
    const std::scoped_lock lock(mutex_);
    if ((error_ || closing_) && next > first) return next;
    if (error_) return *error_;
    if (closing_) return Error{.code = Code::kClosed, .message = name_ + ": the writer is closed"};
    if (!open_ || !take_free()) return next;
    std::optional<Error> error;
    if (!encoder_) error = begin(batch.link_type);
    if (!error) {
      const bool was_empty = filling_->used == 0;
      error = encoder_->encode(batch, next, *filling_);
      if (was_empty && filling_->used > 0) is_due(request_.delay);
    }
    if (error) return *named(std::move(error));
    if (next >= batch.count) return next;
    hand_over();
  }
}

void TraceWriter::when_room(Done done) {
  std::unique_lock lock(mutex_);
  for_room_.push_back(std::move(done));
  const bool is_room = open_ && (filling_ != nullptr || !free_.empty());
  if (is_room || closing_ || error_) tell(lock, for_room_, outcome());
}

void TraceWriter::flush(Done done) {
  std::unique_lock lock(mutex_);
  hand_over();
  if (written_ < handed_over_ && !ended_) {
    for_written_.emplace_back(handed_over_, std::move(done));
    return;
  }
  Waiting flushed;
  flushed.push_back(std::move(done));
  tell(lock, flushed, outcome());
}

void TraceWriter::set_drop_counts(uint64_t received, uint64_t dropped) {
  const std::scoped_lock lock(mutex_);
  drop_counts_ = DropCounts{.received = received, .dropped = dropped};
}

void TraceWriter::close(Done done) {
  finish();
  when_ended(std::move(done));
}

void TraceWriter::leave(std::chrono::milliseconds patience) {
  give_up_.store(true, std::memory_order_relaxed);
  finish();
  std::unique_lock lock(mutex_);
  no_longer_.wait_for(lock, patience, [this] { return ended_; });
}

void TraceWriter::when_ended(Done done) {
  std::unique_lock lock(mutex_);
  for_end_.push_back(std::move(done));
  if (ended_) tell(lock, for_end_, outcome());
}

uint64_t TraceWriter::packets_written() const {
  const std::scoped_lock lock(mutex_);
  return packets_;
}

uint64_t TraceWriter::bytes_written() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

void TraceWriter::finish() {
  const std::scoped_lock lock(mutex_);
  closing_ = true;
  work_.notify_one();
}

// With mutex_ held:

Result<Ok> TraceWriter::outcome() const {
  if (error_) return *error_;
  return Ok{};
}

/// As messages show it.
std::optional<Error> TraceWriter::named(std::optional<Error> error) const {
  if (error) error->message = name_ + ": " + error->message;
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
  auto encoder = request_.format == TraceFormat::kPcap ? make_pcap_encoder(options) : make_pcapng_encoder(options);
  if (!existing_.empty()) {
    if (auto error = encoder->continues(existing_)) return error;
  }
  encoder_ = std::move(encoder);
  // A pcapng file goes on with a section of its own.
  if (existing_.empty() || request_.format == TraceFormat::kPcapng) {
    encoder_->header(*filling_);
    filling_->begins_file = true;
    is_due(std::chrono::milliseconds(0));
  }
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
