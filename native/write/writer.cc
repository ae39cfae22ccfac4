#include "write/writer.h"

#include <algorithm>
#include <utility>

#include "core/thread.h"
#include "format/pcapng_kept.h"

namespace ringtap {

Result<std::shared_ptr<TraceWriter>> TraceWriter::create(WriterRequest request) {
  request.snaplen = std::clamp(request.snaplen, uint32_t{1}, kMaxSnaplen);
  constexpr uint64_t kLeast = 2;  // one is filled while the other is written
  const uint64_t buffers = std::max(kLeast, request.queue_bytes / kBufferBytes);
  auto region = Region::allocate(buffers * kBufferBytes);
  if (!region) return std::move(region).error();
  std::unique_ptr<Ordering> ordering;
  if (request.interfaces.empty()) request.interfaces.emplace_back();
  if (request.interfaces.size() > 1 && request.lateness.count() > 0) {
    auto made = Ordering::create(request.lateness, request.order_bytes);
    if (!made) return std::move(made).error();
    ordering = *std::move(made);
  }
  const std::shared_ptr<TraceWriter> writer(
      new TraceWriter(std::move(request), *std::move(region), std::move(ordering)));
  auto thread = start_thread([writer] { writer->run(); });
  if (!thread) {
    thread.error().message = writer->request_.to.name + ": " + thread.error().message;
    return std::move(thread).error();
  }
  thread->detach();
  return std::shared_ptr<TraceWriter>(writer.get(), [writer](TraceWriter*) { writer->finish(); });
}

TraceWriter::TraceWriter(WriterRequest request, std::shared_ptr<Region> region, std::unique_ptr<Ordering> ordering)
    : request_(std::move(request)),
      region_(std::move(region)),
      rotation_(request_.rotate),
      ordering_(std::move(ordering)),
      sources_(request_.interfaces.size()),
      drop_counts_(request_.interfaces.size()) {
  buffers_.resize(region_->bytes() / kBufferBytes);
  free_.reserve(buffers_.size());
  std::byte* at = region_->base();
  for (EncodeBuffer& buffer : buffers_) {
    buffer = {.data = at, .capacity = kBufferBytes};
    at += kBufferBytes;
    free_.push_back(&buffer);
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
  if (batch.source >= request_.interfaces.size()) {
    return Error{.code = Code::kBadOption,
                 .message = request_.to.name + ": there is no interface " + std::to_string(batch.source)};
  }
  uint32_t next = first;
  bool is_told = false;
  // Locked anew for each buffer, so that the thread can write one while the next is filled.
  for (;;) {
    const std::scoped_lock lock(mutex_);
    if (!std::exchange(is_told, true)) sources_[batch.source].lost += batch.lost;
    if ((error_ || closing_) && next > first) return next;
    if (error_) {
      drop(batch.source, batch.size() - next);
      return *error_;
    }
    if (closing_) return closed();
    if (!open_ || next >= batch.size()) return next;
    const auto goes_on = ordering_ != nullptr ? keep(batch, next) : put(batch, next);
    if (!goes_on) return *named(goes_on.error());
    if (*goes_on) continue;
    if (!request_.drops) return next;
    drop(batch.source, batch.size() - next);
    return batch.size();
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
  if (ordering_ != nullptr && !ordering_->is_empty() && !ended_) {
    drains_ = true;
    work_.notify_one();
    return add(for_drained_, std::move(done));
  }
  hand_over();
  const bool is_written = written_ >= handed_over_ || ended_;
  Waiting flushed;
  const Ticket ticket = add(is_written ? flushed : for_written_, std::move(done));
  if (is_written) tell(lock, flushed, outcome());
  work_.notify_one();
  return ticket;
}

void TraceWriter::set_drop_counts(uint32_t source, DropCounts counts) {
  const std::scoped_lock lock(mutex_);
  if (source < drop_counts_.size()) drop_counts_[source] = std::move(counts);
}

Result<Ok> TraceWriter::comment(std::string text) {
  auto possible = unless_pcap("a comment");
  if (!possible) return possible;
  const std::scoped_lock lock(mutex_);
  if (closing_) return closed();
  comment_ = std::move(text);
  return Ok{};
}

Result<Ok> TraceWriter::block(TraceBlock block) {
  auto possible = unless_pcap("names and secrets");
  if (!possible) return possible;
  const std::scoped_lock lock(mutex_);
  return add(std::move(block));
}

Result<uint32_t> TraceWriter::interface(const TraceBlock& block) {
  const std::scoped_lock lock(mutex_);
  const auto found = interfaces_.find({block.body, block.twin});
  if (found != interfaces_.end()) return found->second;
  if (auto added = add(block); !added) return std::move(added).error();
  const auto number = static_cast<uint32_t>(interfaces_.size());
  interfaces_.emplace(std::pair(std::string_view(blocks_.back().body), block.twin), number);
  return number;
}

bool TraceWriter::section(const TraceBlock& block) {
  const std::scoped_lock lock(mutex_);
  if (section_.empty() && !encoder_) {
    section_ = block.body;
    return true;
  }
  std::string more = section_;
  const bool has_room = pcapng::add_comments(more, block.body);
  if (!encoder_ && has_room) section_ = more;
  return has_room && section_ == more;
}

bool TraceWriter::leaves_out() const {
  const std::scoped_lock lock(mutex_);
  return encoder_ != nullptr && encoder_->leaves_out();
}

/// With mutex_ held.
Result<Ok> TraceWriter::add(TraceBlock block) {
  if (closing_) return closed();
  const size_t bytes = block.body.size();
  if (bytes > kMostBlockBytes || blocks_bytes_ + bytes > kMostBlocksBytes) {
    const bool is_long = bytes > kMostBlockBytes;
    return Error{.code = Code::kBadOption,
                 .message = request_.to.name + ": names or secrets of more than " +
                            std::to_string(is_long ? kMostBlockBytes : kMostBlocksBytes) + " bytes " +
                            (is_long ? "at once" : "together") + " do not fit"};
  }
  blocks_bytes_ += bytes;
  blocks_.push_back(std::move(block));
  return Ok{};
}

Result<Ok> TraceWriter::unless_pcap(const char* what) const {
  if (request_.format == TraceFormat::kPcapng) return Ok{};
  return Error{.code = Code::kUnsupported,
               .message = request_.to.name + (request_.format == TraceFormat::kPcap ? ": a pcap" : ": an ERF") +
                          " file has no place for " + what,
               .hint = "Write pcapng:."};
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

std::optional<std::vector<FinishedFile>> TraceWriter::take_files() {
  const std::scoped_lock lock(mutex_);
  if (finished_.empty() && !ended_) return std::nullopt;
  return std::exchange(finished_, {});
}

void TraceWriter::when_files(FilesDone done) {
  std::unique_lock lock(mutex_);
  for_files_ = std::move(done);
  tell_files(lock);
}

bool TraceWriter::forget(Ticket ticket) {
  const std::scoped_lock lock(mutex_);
  for (Waiting* waiting : {&for_try_, &for_room_, &for_drained_, &for_written_, &for_end_}) {
    if (std::erase_if(*waiting, [ticket](const Waiter& waiter) { return waiter.ticket == ticket; }) > 0) return true;
  }
  return false;
}

TraceWriter::Counts TraceWriter::counts() const {
  const std::scoped_lock lock(mutex_);
  const uint64_t rest = taken_ - packets_;
  Counts counts{.packets = packets_,
                .bytes = bytes_,
                .queued = ended_ ? 0 : rest,
                .dropped = dropped_ + (ended_ ? rest : 0),
                .files = files_,
                .late = ordering_ != nullptr ? ordering_->late() : 0};
  if (const auto& delivery = request_.to.delivery) {
    const uint64_t lost = std::min(counts.packets, delivery->lost.load());
    const uint64_t waiting = std::min(counts.packets - lost, delivery->waiting.load());
    counts.packets -= lost + waiting;
    counts.queued += waiting;
    counts.dropped += lost;
  }
  return counts;
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

void TraceWriter::tell_files(std::unique_lock<std::mutex>& lock) {
  if (!for_files_ || (finished_.empty() && !ended_)) return;
  const FilesDone done = std::exchange(for_files_, {});
  auto files = std::exchange(finished_, {});
  lock.unlock();
  done(std::move(files));
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

Error TraceWriter::closed() const {
  if (!rotation_.is_last_file() || in_file_) {
    return Error{.code = Code::kClosed, .message = request_.to.name + ": the writer is closed"};
  }
  return Error{.code = Code::kClosed,
               .message = request_.to.name + ": the last of " + std::to_string(request_.rotate.most_files) +
                          " files is complete",
               .hint = "Open another writer for the rest."};
}

/// Encodes what there is room for. False: there is none.
Result<bool> TraceWriter::put(const BatchView& batch, uint32_t& next) {
  if (!take_free()) return false;
  std::optional<Error> error;
  if (!in_file_) error = begin(batch.link_type, batch.source);
  if (!error) error = fill(batch, next);
  if (error) return *std::move(error);
  return true;
}

/// Keeps what there is memory for, until it is in order. False: there is none.
Result<bool> TraceWriter::keep(const BatchView& batch, uint32_t& next) {
  if (!encoder_) {
    if (!take_free()) return false;
    if (auto error = begin(batch.link_type, batch.source)) return *std::move(error);
  }
  if (auto refused = encoder_->refuses(batch.link_type)) return *std::move(refused);
  while (!ordering_->has_room()) {
    const auto earliest = ordering_->next_of_all();
    if (!earliest || !release(*earliest)) return false;
  }
  const bool was_empty = ordering_->is_empty();
  const uint32_t from = next;
  BatchView view = batch;
  view.lost = sources_[batch.source].lost;
  auto error = ordering_->take(view, next, encoder_->limits(), Clock::now());
  if (next > from) sources_[batch.source].lost = 0;
  taken_ += next - from;
  if (was_empty) work_.notify_one();
  if (error) return *std::move(error);
  return true;
}

/// Encodes what was kept. False: not all of it had room.
bool TraceWriter::release(const BatchView& batch) {
  encoder_->lost(batch.source, batch.lost);
  uint32_t next = 0;
  while (next < batch.size() && (in_file_ || !rotation_.is_last_file())) {
    const auto goes_on = put(batch, next);
    if (!goes_on && !error_) error_ = named(goes_on.error());  // it was checked, so this does not happen
    if (!goes_on || !*goes_on) break;
  }
  // There is no file any more for what comes after the last.
  if (!in_file_ && rotation_.is_last_file()) next = batch.size();
  ordering_->consume(next);
  return next == batch.size();
}

/// What a file begins with, for packets of this link type.
std::optional<Error> TraceWriter::begin(uint32_t link_type, uint32_t source) {
  if (link_type > UINT16_MAX) {
    return Error{.code = Code::kBadOption, .message = "link type " + std::to_string(link_type) + " is above 65535"};
  }
  if (!encoder_) {
    const EncoderOptions options{.link_type = link_type,
                                 .source = source,
                                 .snaplen = request_.snaplen,
                                 .nanosecond = request_.nanosecond,
                                 .hardware = request_.hardware,
                                 .os = request_.os,
                                 .application = request_.application,
                                 .comment = request_.comment,
                                 .interfaces = request_.interfaces,
                                 .packet_details = request_.packet_details,
                                 .keeps = request_.keeps,
                                 .keeps_resolution = request_.keeps_resolution,
                                 .section = section_};
    encoder_ = request_.format == TraceFormat::kPcap     ? make_pcap_encoder(options)
               : request_.format == TraceFormat::kPcapng ? make_pcapng_encoder(options)
                                                         : make_erf_encoder(options);
  }
  encoder_->header(*filling_);
  filling_->begins_file = true;
  rotation_.begin();
  rotation_.add(filling_->used, 0);
  in_file_ = true;
  blocks_put_ = 0;
  is_due(std::chrono::milliseconds(0));
  return std::nullopt;
}

/// Encodes what of the batch belongs into this file and has room in this buffer; ends what is full.
std::optional<Error> TraceWriter::fill(const BatchView& batch, uint32_t& next) {
  if (!put_blocks()) {
    hand_over();
    return std::nullopt;
  }
  if (!comment_.empty()) encoder_->comment(std::exchange(comment_, {}));
  // What was kept came with its own.
  if (ordering_ == nullptr) encoder_->lost(batch.source, std::exchange(sources_[batch.source].lost, 0));
  const uint32_t end = rotation_.end_of(batch, next);
  const auto without_trailer = [trailer = uint64_t{encoder_->trailer_bytes()}](uint64_t bytes) {
    return bytes > trailer ? bytes - trailer : 0;
  };
  const uint64_t room = without_trailer(filling_->capacity - filling_->used);
  const uint64_t left = without_trailer(rotation_.bytes_left());
  bool is_full = end == next;
  if (!is_full) {
    BatchView part = batch;
    (part.select != nullptr ? part.selected : part.count) = end;
    const uint32_t from = next;
    const uint32_t used = filling_->used;
    const uint32_t capacity = filling_->capacity;
    filling_->capacity = used + static_cast<uint32_t>(std::min(room, left));
    auto error = encoder_->encode(part, next, *filling_);
    filling_->capacity = used + static_cast<uint32_t>(room);
    if (!error && next == from && rotation_.is_empty() && left < room) {
      // One that is larger than a file has one for itself.
      (part.select != nullptr ? part.selected : part.count) = from + 1;
      error = encoder_->encode(part, next, *filling_);
    }
    filling_->capacity = capacity;
    rotation_.add(filling_->used - used, next - from);
    if (ordering_ == nullptr) taken_ += next - from;
    if (used == 0 && filling_->used > 0) is_due(request_.delay);
    if (error || next == end) return error;
    is_full = left < room && !rotation_.is_empty();
  }
  if (is_full) {
    end_file();
  } else {
    hand_over();
  }
  return std::nullopt;
}

/// What this file lacks of them, so that they are there before the packets. False when the buffer is full.
bool TraceWriter::put_blocks() {
  const uint32_t used = filling_->used;
  const uint32_t trailer = encoder_->trailer_bytes();
  const uint32_t capacity = std::exchange(filling_->capacity, filling_->capacity - trailer);
  while (blocks_put_ < blocks_.size() && encoder_->block(blocks_[blocks_put_], *filling_)) blocks_put_++;
  filling_->capacity = capacity;
  rotation_.add(filling_->used - used, 0);
  return blocks_put_ == blocks_.size();
}

/// There is a buffer, with room for what files end with.
void TraceWriter::end_file() {
  put_blocks();
  auto counts = drop_counts_;
  for (size_t i = 0; i < counts.size(); i++) {
    const uint64_t dropped = sources_[i].dropped;
    if (!counts[i] || dropped == 0) continue;
    counts[i]->dropped += dropped;
    counts[i]->causes.push_back("writer=" + std::to_string(dropped));
  }
  encoder_->trailer(counts, *filling_);
  filling_->ends_file = true;
  in_file_ = false;
  if (rotation_.is_last_file()) closing_ = true;
  hand_over();
}

/// These are not taken.
void TraceWriter::drop(uint32_t source, uint64_t packets) {
  dropped_ += packets;
  sources_[source].dropped += packets;
  sources_[source].lost += packets;
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
  if (filling_ == nullptr || (filling_->used == 0 && !filling_->ends_file)) return;
  full_.push_back(std::exchange(filling_, nullptr));
  handed_over_++;
  work_.notify_one();
}

}  // namespace ringtap
