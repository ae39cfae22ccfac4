// What the writer's own thread does.
#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "core/thread.h"
#include "write/writer.h"

namespace ringtap {
namespace {

constexpr uint32_t kDefaultLinkType = 1;
constexpr std::chrono::milliseconds kLookForReader{50};
// How long what an output keeps back may not show, beside the time that its packets have waited for others.
constexpr std::chrono::milliseconds kMostKeptBack{250};
constexpr auto kNever = std::chrono::steady_clock::time_point::max();

}  // namespace

void TraceWriter::run() {
  block_signals();  // a write(2) that fails is an error, not SIGPIPE or SIGXFSZ
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
      // What is kept of other traces stands in front of all else.
      if (request_.link_type && !request_.keeps) error_ = named(begin(*request_.link_type, 0));
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
    if (ordering_ != nullptr && release_some(lock)) continue;
    const bool is_some = filling_ != nullptr && filling_->used > 0;
    auto file_due = in_file_ ? rotation_.due() : std::nullopt;
    const auto order_due = ordering_ != nullptr ? ordering_->due() : std::nullopt;
    if (file_due && ordering_ != nullptr) *file_due += request_.lateness;
    if (!tried_) {
      tried_ = true;
      tell(lock, for_try_, Ok{});
    } else if (closing_ && !encoder_) {
      // An empty capture makes an empty, valid trace.
      error_ = named(begin(request_.link_type.value_or(kDefaultLinkType), 0));
      if (error_) return nullptr;
    } else if (in_file_ && (closing_ || (file_due && Clock::now() >= *file_due))) {
      take_free();
      end_file();
    } else if (closing_) {
      return nullptr;
    } else if (is_some && Clock::now() >= due_) {
      hand_over();
    } else if (const auto next = std::min({is_some ? due_ : kNever, put_ > written_ ? kept_due_ : kNever,
                                           file_due.value_or(kNever), order_due.value_or(kNever)});
               next != kNever) {
      work_.wait_until(lock, next);
    } else {
      work_.wait(lock);
    }
  }
}

/// Encodes some of what need not wait for earlier packets any more. False: there is nothing like that.
bool TraceWriter::release_some(std::unique_lock<std::mutex>& lock) {
  const auto batch = closing_ || drains_ ? ordering_->next_of_all() : ordering_->next(Clock::now());
  if (!batch) {
    if (!drains_) return false;
    drained(lock);
    return true;
  }
  release(*batch);
  // Who appends need not wait for all of it.
  lock.unlock();
  lock.lock();
  return true;
}

/// Nothing waits for earlier packets any more: who wants it written waits for the buffers.
void TraceWriter::drained(std::unique_lock<std::mutex>& lock) {
  drains_ = false;
  hand_over();
  Waiting waiting = std::exchange(for_drained_, {});
  if (written_ >= handed_over_) return tell(lock, waiting, outcome());
  for (Waiter& waiter : waiting) {
    waiter.buffers = handed_over_;
    for_written_.push_back(std::move(waiter));
  }
}

/// False when the buffer could not be written whole: then error_ says why.
bool TraceWriter::write_out(EncodeBuffer& buffer) {
  if (output_ == nullptr && !open_next()) return false;
  const size_t written = put(buffer);
  const int err = errno;
  const bool is_whole = written == buffer.used;
  Whole whole{.bytes = buffer.used, .packets = buffer.packets};
  if (!is_whole) whole = whole_records(buffer, written);
  const bool is_clean = whole.bytes == written || output_->take_back(written - whole.bytes);
  count(buffer, whole);

  std::unique_lock lock(mutex_);
  kept_back_.packets += whole.packets;
  kept_back_.bytes += whole.bytes;
  if (!is_whole) {
    if (!output_->keeps_back()) shown(lock);
    cannot_write(err, is_clean);
    return false;
  }
  const bool ends_file = buffer.ends_file;
  buffer.clear();
  full_.pop_front();
  free_.push_back(&buffer);
  if (put_++ == written_) kept_due_ = Clock::now() + std::min(request_.delay, kMostKeptBack);
  tell(lock, for_room_, Ok{});
  if (!output_->keeps_back()) shown(lock);
  return !ends_file || finish_file(lock);
}

void TraceWriter::cannot_write(int err, bool is_clean) {
  error_ = system_error(Code::kFileWrite,
                        request_.to.name + ": cannot write beyond " + std::to_string(packets_) + " packets, " +
                            std::to_string(bytes_) + " bytes, which are " +
                            (is_clean ? "kept" : "followed by part of a record"),
                        "write", err);
  error_->position = static_cast<int64_t>(bytes_);
  if (auto why = output_->failure()) {
    why->message = request_.to.name + ": " + why->message;
    error_ = *std::move(why);
  }
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
  const auto bytes_out = output_->bytes_out();
  bytes_ = bytes_out ? bytes_before_ + *bytes_out : bytes_ + more.bytes;
  written_ = put_;
  const auto still = std::find_if(for_written_.begin(), for_written_.end(),
                                  [this](const Waiter& waiter) { return waiter.buffers > written_; });
  Waiting flushed(std::make_move_iterator(for_written_.begin()), std::make_move_iterator(still));
  for_written_.erase(for_written_.begin(), still);
  tell(lock, flushed, Ok{});
}

/// The file that comes after one that is complete.
bool TraceWriter::open_next() {
  auto opened = request_.to.open();
  const std::scoped_lock lock(mutex_);
  if (opened) {
    output_ = *std::move(opened);
  } else {
    error_ = std::move(opened).error();
  }
  return output_ != nullptr;
}

/// So much of the buffer is in the file.
void TraceWriter::count(const EncodeBuffer& buffer, const Whole& whole) {
  if (whole.packets == 0) return;
  if (!begin_ns_) {
    begin_ns_ = buffer.first_ns;
    file_.earliest_ns = buffer.earliest_ns;
  }
  file_.packets += whole.packets;
  file_.earliest_ns = std::min(file_.earliest_ns, buffer.earliest_ns);
  file_.latest_ns = std::max(file_.latest_ns, buffer.latest_ns);
}

/// Closes the file, gives it its name, and tells of it. False when that fails: then error_ says why.
bool TraceWriter::finish_file(std::unique_lock<std::mutex>& lock) {
  if (!error_) show(lock, true);
  const bool has_nothing = error_ && file_.packets == 0 && request_.to.discard;
  lock.unlock();
  const int err = std::exchange(output_, nullptr)->close();
  Result<std::string> name = request_.to.name;
  if (has_nothing) {
    request_.to.discard();
    lock.lock();
    return false;
  }
  if (err != 0) {
    name = system_error(Code::kFileWrite, request_.to.name + ": cannot close", "close", err);
  } else if (request_.to.complete) {
    name = request_.to.complete(begin_ns_ ? static_cast<int64_t>(*begin_ns_) : -1);
  }
  lock.lock();
  begin_ns_.reset();
  FinishedFile file = std::exchange(file_, {});
  file.bytes = bytes_ - std::exchange(bytes_before_, bytes_);
  if (!name) {
    if (!error_) error_ = std::move(name).error();
    return false;
  }
  file.path = *std::move(name);
  files_++;
  finished_.push_back(std::move(file));
  tell_files(lock);
  return !error_;
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

/// What an index of the trace has to know of the buffer.
Output::Held TraceWriter::held_by(const EncodeBuffer& buffer) const {
  Output::Held held{.any = buffer.packets > 0, .describes = buffer.describes};
  if (!held.any) return held;
  held.first = static_cast<int64_t>(buffer.first_ns);
  held.earliest = static_cast<int64_t>(buffer.earliest_ns);
  held.latest = static_cast<int64_t>(buffer.latest_ns);
  uint32_t at = 0;
  for (Encoder::Record record = encoder_->record(buffer, at); !record.is_packet && record.end < buffer.used;
       record = encoder_->record(buffer, at))
    at = record.end;
  held.before_first = at;
  return held;
}

/// How many bytes of the buffer went out. Into a pipe, as many whole records at once as it takes whole or not at all:
/// whoever reads it never sees the beginning of a record without its end, however this process ends.
size_t TraceWriter::put(const EncodeBuffer& buffer) {
  output_->holds(held_by(buffer));
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
  if (output_ != nullptr) finish_file(lock);
  closing_ = true;
  ended_ = true;
  no_longer_.notify_all();
  Waiting waiting = std::exchange(for_end_, {});
  for (Waiting* others : {&for_try_, &for_room_, &for_drained_, &for_written_}) {
    std::move(others->begin(), others->end(), std::back_inserter(waiting));
    others->clear();
  }
  tell_files(lock);
  tell(lock, waiting, outcome());
}

}  // namespace ringtap
