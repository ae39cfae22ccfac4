// What the writer's own thread does.
#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>
#ifndef _WIN32
#include <signal.h>
#endif

#include "write/writer.h"

namespace ringtap {
namespace {

constexpr uint32_t kDefaultLinkType = 1;
constexpr std::chrono::milliseconds kLookForReader{50};
// How long what an output keeps back may not show, beside the time that its packets have waited for others.
constexpr std::chrono::milliseconds kMostKeptBack{250};

/// Signals are for other threads; and a write(2) that fails is an error, not SIGPIPE or SIGXFSZ.
void block_signals() {
#ifndef _WIN32
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
}

}  // namespace

void TraceWriter::run() {
  block_signals();
  if (open_output()) {
    while (EncodeBuffer* buffer = next_full()) {
      if (!write_out(*buffer)) break;
    }
  }
  end();
}

bool TraceWriter::open_output() {
  for (;;) {
    auto opened = request_.to.open();
    std::unique_lock lock(mutex_);
    if (!opened) {
      error_ = std::move(opened).error();
      return false;
    }
    if (*opened != nullptr) {
      output_ = *std::move(opened);
      if (request_.link_type) error_ = named(begin(*request_.link_type));
      hand_over();
      open_ = !error_;
      tell(lock, for_room_, outcome());
      return open_;
    }
    if (closing_) {
      error_ = system_error(Code::kFileWrite, request_.to.name + ": nobody has opened it for reading", "open", ENXIO);
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
    if (must_show()) {
      if (!show(lock, false)) return nullptr;
      continue;
    }
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
      work_.wait_until(lock, put_ > written_ ? std::min(due_, kept_due_) : due_);
    } else if (put_ > written_) {
      work_.wait_until(lock, kept_due_);
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
  const bool is_clean = whole.bytes == written || output_->take_back(written - whole.bytes);

  std::unique_lock lock(mutex_);
  kept_back_.packets += whole.packets;
  kept_back_.bytes += whole.bytes;
  if (!is_whole) {
    if (!output_->keeps_back()) shown(lock);
    cannot_write(err, is_clean);
    return false;
  }
  buffer.used = 0;
  buffer.packets = 0;
  buffer.begins_file = false;
  full_.pop_front();
  free_.push_back(&buffer);
  if (put_++ == written_) kept_due_ = Clock::now() + std::min(request_.delay, kMostKeptBack);
  tell(lock, for_room_, Ok{});
  if (!output_->keeps_back()) shown(lock);
  return true;
}

void TraceWriter::cannot_write(int err, bool is_clean) {
  error_ = system_error(Code::kFileWrite,
                        request_.to.name + ": cannot write beyond " + std::to_string(packets_) + " packets, " +
                            std::to_string(bytes_) + " bytes, which are " +
                            (is_clean ? "kept" : "followed by part of a record"),
                        "write", err);
  error_->position = static_cast<int64_t>(bytes_);
}

/// Whether what is kept back has been so for long enough, or is waited for.
bool TraceWriter::must_show() const {
  if (put_ == written_) return false;
  return Clock::now() >= kept_due_ || (!for_written_.empty() && for_written_.front().buffers <= put_);
}

/// Has the output show what it keeps back. False when it cannot: then error_ says why.
bool TraceWriter::show(std::unique_lock<std::mutex>& lock, bool is_last) {
  lock.unlock();
  const bool done = is_last ? output_->finish(give_up_) : output_->flush(give_up_);
  const int err = errno;
  lock.lock();
  if (done) {
    shown(lock);
  } else {
    cannot_write(err, true);
  }
  return done;
}

/// Readers see all that was put out.
void TraceWriter::shown(std::unique_lock<std::mutex>& lock) {
  const Whole more = std::exchange(kept_back_, {});
  packets_ += more.packets;
  bytes_ = output_->bytes_out().value_or(bytes_ + more.bytes);
  written_ = put_;
  const auto still = std::find_if(for_written_.begin(), for_written_.end(),
                                  [this](const Waiter& waiter) { return waiter.buffers > written_; });
  Waiting flushed(std::make_move_iterator(for_written_.begin()), std::make_move_iterator(still));
  for_written_.erase(for_written_.begin(), still);
  tell(lock, flushed, Ok{});
}

/// What the first `bytes` of the buffer hold of whole records.
TraceWriter::Whole TraceWriter::whole_records(const EncodeBuffer& buffer, size_t bytes) const {
  Whole whole;
  while (whole.bytes < bytes) {
    const Encoder::Record record = encoder_->record(buffer, static_cast<uint32_t>(whole.bytes));
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
    const size_t at_once = output_->bytes_at_once(give_up_);
    if (at_once == 0) return output_->write({buffer.data, buffer.used}, give_up_);
    uint32_t end = encoder_->record(buffer, done).end;
    while (end < buffer.used) {
      const uint32_t next = encoder_->record(buffer, end).end;
      if (next - done > at_once) break;
      end = next;
    }
    const size_t written = output_->write({buffer.data + done, end - done}, give_up_);
    if (written < end - done) return done + written;
    done = end;
  }
  return done;
}

void TraceWriter::end() {
  std::unique_lock lock(mutex_);
  if (output_ != nullptr && !error_) show(lock, true);
  lock.unlock();
  const int err = output_ != nullptr ? output_->close() : 0;
  lock.lock();
  if (err != 0 && !error_) error_ = system_error(Code::kFileWrite, request_.to.name + ": cannot close", "close", err);
  closing_ = true;
  ended_ = true;
  no_longer_.notify_all();
  Waiting waiting = std::exchange(for_end_, {});
  for (Waiting* others : {&for_try_, &for_room_, &for_written_}) {
    std::move(others->begin(), others->end(), std::back_inserter(waiting));
    others->clear();
  }
  tell(lock, waiting, outcome());
}

}  // namespace ringtap
