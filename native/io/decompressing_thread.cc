#include "io/decompressing_thread.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

#include "core/thread.h"

#ifdef __linux__
#include <sys/eventfd.h>
#endif
#ifndef _WIN32
#include <poll.h>
#endif

namespace ringtap {
namespace {

// zstd's checksum at the end is that of the whole, which a decompressor that begins in the middle does not see.
constexpr size_t kZstdDescriptor = 4;
constexpr std::byte kZstdChecksum{4};
constexpr uint64_t kZstdChecksumBytes = 4;

bool has_checksum(Compression compression, const std::vector<std::byte>& head) noexcept {
  return compression == Compression::kZstd && head.size() > kZstdDescriptor &&
         (head[kZstdDescriptor] & kZstdChecksum) != std::byte{0};
}

constexpr uint64_t kNoEnd = std::numeric_limits<uint64_t>::max();
// How often to look whether anybody still wants it, where that cannot be waited for together.
constexpr int kSliceMs = 20;

}  // namespace

Result<std::unique_ptr<DecompressingThread>> DecompressingThread::make(std::unique_ptr<Input> input,
                                                                       std::unique_ptr<Decompressor> decompressor,
                                                                       std::span<const std::byte> head, Anew anew) {
  const Buffers buffers = buffers_for(anew.compression);
  auto region = Region::allocate(kInBytes + buffers.count * buffers.bytes);
  if (!region) return std::move(region).error();
  std::unique_ptr<DecompressingThread> made(
      new DecompressingThread(std::move(input), std::move(decompressor), *std::move(region), std::move(anew)));
#ifdef __linux__
  made->ready_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), true);
  made->stopped_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), true);
  if (made->ready_.get() < 0 || made->stopped_.get() < 0)
    return system_error(Code::kSystem, "cannot decompress", "eventfd", errno);
#endif
  std::copy(head.begin(), head.end(), made->region_->base());
  made->unread_ = {made->region_->base(), head.size()};
  made->read_ = head.size();
  const Parts& parts = made->anew_.parts;
  if (!parts.pieces.empty()) {
    made->piece_left_ = parts.pieces[0].bytes;
    const auto again = head.first(std::min<size_t>(head.size(), parts.head_bytes));
    made->head_.assign(again.begin(), again.end());
  }
  auto thread = start_thread([self = made.get()] { self->run(); });
  if (!thread) return std::move(thread).error();
  made->thread_ = *std::move(thread);
  return made;
}

DecompressingThread::DecompressingThread(std::unique_ptr<Input> input, std::unique_ptr<Decompressor> decompressor,
                                         std::shared_ptr<Region> region, Anew anew)
    : input_(std::move(input)),
      decompressor_(std::move(decompressor)),
      region_(std::move(region)),
      buffer_bytes_(buffers_for(anew.compression).bytes),
      anew_(std::move(anew)) {
  const size_t count = buffers_for(anew_.compression).count;
  for (size_t i = 0; i < count; i++) free_.push_back({.at = region_->base() + kInBytes + i * buffer_bytes_});
}

DecompressingThread::Buffers DecompressingThread::buffers_for(Compression compression) noexcept {
  // WHY: a block of lz4 has up to 4 MiB. Where there is room for all of it the library decompresses to there, else into
  // memory of its own, from which it copies.
  if (compression == Compression::kLz4) return {.count = 2, .bytes = 4u << 20};
  return {.count = 4, .bytes = 1u << 20};  // as much as is read of a file at once
}

/// Waits for no more than what the thread is about to decompress: it waits for an input together with `stopped_`.
DecompressingThread::~DecompressingThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
#ifdef __linux__
    eventfd_write(stopped_.get(), 1);
#endif
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

int64_t DecompressingThread::read(std::byte* to, size_t bytes) noexcept {
  std::unique_lock lock(mutex_);
  if (full_.empty()) {
    if (error_) return Input::kFailed;
    return ended_ ? 0 : Input::kNothingYet;
  }
  Buffer& buffer = full_.front();
  const size_t n = std::min(bytes, buffer.bytes - buffer.taken);
  const std::byte* const from = buffer.at + buffer.taken;
  lock.unlock();  // nobody else takes the first buffer
  std::memcpy(to, from, n);
  lock.lock();
  if (buffer.taken == 0) {
    left_out_ += buffer.at_byte - delivered_;
    delivered_ = buffer.at_byte;
  }
  delivered_ += n;
  buffer.taken += n;
  if (buffer.taken < buffer.bytes) return static_cast<int64_t>(n);
  // The one that a cache still holds is filled next.
  free_.push_front(buffer);
  full_.pop_front();
  if (full_.empty() && !ended_) set_ready(false);
  changed_.notify_all();
  return static_cast<int64_t>(n);
}

bool DecompressingThread::wait(int timeout_ms) const noexcept {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return !full_.empty() || ended_; });
}

bool DecompressingThread::pending() const noexcept {
  const std::lock_guard lock(mutex_);
  return !full_.empty() || ended_;
}

Readiness DecompressingThread::readiness() const noexcept {
#ifdef __linux__
  return {.kind = Readiness::Kind::kFd, .fd = ready_.get()};
#else
  return {.kind = Readiness::Kind::kPoll};
#endif
}

Error DecompressingThread::failure() const {
  const std::lock_guard lock(mutex_);
  return *error_;
}

void DecompressingThread::set_ready([[maybe_unused]] bool is_ready) const noexcept {
#ifdef __linux__
  eventfd_t ignored = 0;
  if (is_ready) {
    eventfd_write(ready_.get(), 1);
  } else {
    eventfd_read(ready_.get(), &ignored);
  }
#endif
}

// On the thread:

void DecompressingThread::run() noexcept {
  block_signals();
  try {
    for (;;) {
      auto buffer = next_free();
      if (!buffer) break;
      const Outcome outcome = fill(*buffer);
      if (outcome == Outcome::kStopped) break;
      if (buffer->bytes > 0) hand_over(*buffer);
      if (outcome == Outcome::kEnded) break;
    }
  } catch (const std::exception&) {
    fail(Error{.code = Code::kNoMemory, .message = "no memory to decompress"});
  }
  end();
}

/// Waits for a buffer; none when nobody wants the rest.
std::optional<DecompressingThread::Buffer> DecompressingThread::next_free() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stop_ || !free_.empty(); });
  if (stop_) return std::nullopt;
  Buffer buffer = free_.front();
  free_.pop_front();
  buffer.bytes = buffer.taken = 0;
  return buffer;
}

/// Decompresses into the buffer until it is full, or there is something in it and nothing more has come yet.
DecompressingThread::Outcome DecompressingThread::fill(Buffer& buffer) {
  if (piece_left_ == 0) {
    if (const Outcome outcome = next_piece(); outcome != Outcome::kMore) return outcome;
  }
  const size_t most = std::min<uint64_t>(buffer_bytes_, piece_left_);
  std::span<std::byte> room(buffer.at, most);
  buffer.at_byte = made_;
  while (!room.empty()) {
    if (unread_.empty() && !has_more_ && !was_last_) {
      const Outcome outcome = read_more(buffer.bytes == 0);
      if (outcome == Outcome::kMore && unread_.empty() && !was_last_) return Outcome::kMore;
      if (outcome != Outcome::kMore) return outcome;
    }
    const bool sound = decompressor_->run(unread_, room, was_last_);
    const size_t made = most - room.size() - buffer.bytes;
    buffer.bytes += made;
    made_ += made;
    if (piece_left_ != kNoEnd) piece_left_ -= made;
    has_more_ = room.empty();
    if (!sound) {
      fail(decompressor_->failure());
      return Outcome::kEnded;
    }
    if (!was_last_ || made > 0 || !unread_.empty()) continue;
    if (!decompressor_->complete()) {
      fail({.code = Code::kFileTruncated,
            .message = "the file ends in the middle of its compressed data",
            .hint = "The writer was probably stopped. All that could be decompressed was delivered."});
    }
    return Outcome::kEnded;
  }
  return Outcome::kMore;
}

/// Goes on with the next part of the trace.
DecompressingThread::Outcome DecompressingThread::next_piece() {
  const auto& pieces = anew_.parts.pieces;
  if (++piece_ == pieces.size()) return Outcome::kEnded;
  const Piece& piece = pieces[piece_];
  while (input_->reading()) {  // ahead, for nobody
    const int64_t n = input_->read(region_->base(), kInBytes, region_);
    if (n == Input::kNothingYet && !wait_for_input()) return Outcome::kStopped;
  }
  auto decompressor = make_decompressor(anew_.compression, anew_.most_window);
  if (!decompressor) {
    fail(std::move(decompressor).error());
    return Outcome::kEnded;
  }
  decompressor_ = *std::move(decompressor);
  read_ = piece.compressed;
  made_ = piece.decompressed;
  piece_left_ = piece.bytes;
  unread_ = {};
  was_last_ = has_more_ = false;
  if (!input_->seek(piece.compressed) || !feed_head()) {
    fail({.code = Code::kFileCorrupt, .message = "the index of the trace does not fit it"});
    return Outcome::kEnded;
  }
  return Outcome::kMore;
}

/// Where what this decompressor can be given ends.
uint64_t DecompressingThread::end_of_input() const noexcept {
  const bool is_cut = piece_ > 0 && has_checksum(anew_.compression, head_);
  return is_cut ? anew_.parts.length - std::min<uint64_t>(anew_.parts.length, kZstdChecksumBytes) : kNoEnd;
}

/// What a decompressor has to know before a section.
bool DecompressingThread::feed_head() {
  std::vector<std::byte> head = head_;
  if (has_checksum(anew_.compression, head)) head[kZstdDescriptor] &= ~kZstdChecksum;
  std::span<const std::byte> in(head);
  std::byte none[1];
  std::span<std::byte> out(none);
  return decompressor_->run(in, out, false) && in.empty() && out.size() == sizeof none;
}

/// Reads more of the input. kMore without any: nothing has come, and nobody wanted to wait.
DecompressingThread::Outcome DecompressingThread::read_more(bool may_wait) {
  for (;;) {
    int64_t n = input_->read(region_->base(), kInBytes, region_);
    if (n > 0) n = static_cast<int64_t>(std::min<uint64_t>(n, end_of_input() - std::min(read_, end_of_input())));
    if (n > 0) {
      unread_ = {region_->base(), static_cast<size_t>(n)};
      read_ += static_cast<uint64_t>(n);
      return Outcome::kMore;
    }
    if (n == 0) {
      was_last_ = true;
      return Outcome::kMore;
    }
    if (n == Input::kFailed) {
      const Error error = input_->failure(read_);
      const std::lock_guard lock(mutex_);
      error_ = error;
      return Outcome::kEnded;
    }
    if (!may_wait) return Outcome::kMore;
    if (!wait_for_input()) return Outcome::kStopped;
  }
}

/// False when nobody wants it any more.
bool DecompressingThread::wait_for_input() {
#ifdef __linux__
  const Readiness readiness = input_->readiness();
  if (readiness.kind == Readiness::Kind::kFd) {
    pollfd waiting[] = {{.fd = readiness.fd, .events = POLLIN, .revents = 0},
                        {.fd = stopped_.get(), .events = POLLIN, .revents = 0}};
    while (poll(waiting, 2, -1) < 0 && errno == EINTR) {
    }
    return waiting[1].revents == 0;
  }
#endif
  input_->wait(kSliceMs);
  const std::lock_guard lock(mutex_);
  return !stop_;
}

void DecompressingThread::fail(Error error) {
  const uint64_t at = read_ - unread_.size();
  error.message += ", at byte " + std::to_string(at) + " of the file, behind byte " + std::to_string(made_) +
                   " of what was decompressed";
  error.position = static_cast<int64_t>(at);
  error.decompressed_position = static_cast<int64_t>(made_);
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void DecompressingThread::hand_over(const Buffer& buffer) {
  const std::lock_guard lock(mutex_);
  full_.push_back(buffer);
  if (full_.size() == 1) set_ready(true);
  changed_.notify_all();
}

void DecompressingThread::end() {
  input_->close();
  const std::lock_guard lock(mutex_);
  ended_ = true;
  set_ready(true);
  changed_.notify_all();
}

}  // namespace ringtap
