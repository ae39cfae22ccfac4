#ifndef _WIN32

#include "write/readers.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "core/thread.h"
#include "write/sending.h"

namespace ringtap {

namespace {

constexpr std::chrono::milliseconds kLook{20};
// At the end, who takes nothing for so long is left behind.
constexpr std::chrono::seconds kPatience{10};

}  // namespace

/// A TraceWriter's end of it.
class ReadersOutput final : public Output {
 public:
  explicit ReadersOutput(std::shared_ptr<Readers> readers) : readers_(std::move(readers)) {}
  ReadersOutput(const ReadersOutput&) = delete;
  ReadersOutput& operator=(const ReadersOutput&) = delete;
  ~ReadersOutput() override { readers_->stop(); }

  size_t bytes_at_once(const std::atomic<bool>&) noexcept override { return 0; }
  size_t write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept override {
    return readers_->put(bytes, give_up);
  }
  bool take_back(size_t bytes) noexcept override { return bytes == 0; }
  // Where all wait for the slowest, a writer that is flushed waits, too.
  bool keeps_back() const noexcept override { return !readers_->request_.drops; }
  bool flush(const std::atomic<bool>& give_up) noexcept override { return readers_->drain(give_up); }
  bool finish(const std::atomic<bool>& give_up) noexcept override {
    readers_->end(give_up);
    return true;
  }
  std::optional<Error> failure() const override { return readers_->failure(); }
  int close() noexcept override {
    readers_->stop();
    return 0;
  }

 private:
  const std::shared_ptr<Readers> readers_;
};

std::shared_ptr<Readers> Readers::create(ReadersRequest request) {
  return std::shared_ptr<Readers>(new Readers(std::move(request)));
}

Readers::~Readers() { stop(); }

Destination Readers::destination() {
  return {.name = request_.name, .open = [self = shared_from_this()] { return self->open(); }, .delivery = delivery_};
}

Result<std::unique_ptr<Output>> Readers::open() {
  const std::scoped_lock lock(mutex_);
  if (!request_.drops && readers_.empty()) return std::unique_ptr<Output>();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    return system_error(Code::kSystem, request_.name + ": no descriptors to wake its thread by", "socketpair", errno);
  }
  wakes_ = UniqueFd(ends[0]);
  woken_ = UniqueFd(ends[1]);
  for (const int fd : ends) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  auto thread = start_thread([this] { run(); });
  if (!thread) return std::move(thread).error();
  thread_ = *std::move(thread);
  return std::unique_ptr<Output>(std::make_unique<ReadersOutput>(shared_from_this()));
}

bool Readers::add(const std::shared_ptr<Connection>& connection) {
  UniqueFd fd = connection->take();
  if (!fd) return false;
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  std::unique_ptr<Compressor> compressor;
  if (request_.compression) {
    auto made = make_compressor(*request_.compression);
    if (!made) return false;
    compressor = *std::move(made);
  }
  const std::scoped_lock lock(mutex_);
  if (ended_ || no_more_ || failure_) return false;
  readers_.push_back({});
  Reader& reader = readers_.back();
  constexpr uint64_t kUntold = UINT64_MAX;
  reader.acknowledged_at = acknowledged(fd.get(), kUntold);
  reader.acknowledges = reader.acknowledged_at != kUntold;
  reader.fd = std::move(fd);
  reader.connection = connection;
  reader.compressor = std::move(compressor);
  reader.moved = Clock::now();
  if (!prelude_.empty()) give(reader, chunk_of(prelude_, true));
  wake();
  room_.notify_all();
  return true;
}

void Readers::no_more() {
  const std::scoped_lock lock(mutex_);
  no_more_ = true;
  room_.notify_all();
}

uint32_t Readers::count() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<uint32_t>(readers_.size());
}

void Readers::when_left(Left done) {
  std::unique_lock lock(mutex_);
  for_left_ = std::move(done);
  tell_left(lock);
}

std::optional<Error> Readers::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

// On the writer's thread:

/// All of the bytes, which are whole records, or none of them: with errno.
size_t Readers::put(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept try {
  std::unique_lock lock(mutex_);
  while (must_wait(bytes.size())) {
    if (give_up.load(std::memory_order_relaxed)) {
      errno = ECANCELED;
      return 0;
    }
    room_.wait_for(lock, kLook);
  }
  if (failure_) {
    errno = EPIPE;
    return 0;
  }
  const auto chunk = chunk_of(bytes, !std::exchange(begun_, true));
  if (!readers_.empty()) chunk->delivered = chunk->packets;
  for (Reader& reader : readers_) give(reader, chunk);
  const auto described = describing(*chunk, 0);
  prelude_.insert(prelude_.end(), described.begin(), described.end());
  wake();
  return bytes.size();
} catch (const std::bad_alloc&) {
  errno = ENOMEM;
  return 0;
}

/// False, with errno, when it is not waited for any more.
bool Readers::drain(const std::atomic<bool>& give_up) noexcept {
  std::unique_lock lock(mutex_);
  while (!all_sent() && !failure_) {
    if (give_up.load(std::memory_order_relaxed)) break;
    room_.wait_for(lock, kLook);
  }
  if (!failure_) return true;
  errno = EPIPE;
  return false;
}

/// Has everybody read the rest, but for those who take nothing.
void Readers::end(const std::atomic<bool>& give_up) noexcept {
  std::unique_lock lock(mutex_);
  no_more_ = true;
  is_watched_ = true;
  wake();
  const auto wait_until = [&](bool (Readers::*done)() const) {
    for (const auto begun = Clock::now(); !(this->*done)();) {
      room_.wait_for(lock, kLook);
      if (give_up.load(std::memory_order_relaxed)) return;
      const auto late = Clock::now() - kPatience;
      const bool moves = std::any_of(readers_.begin(), readers_.end(), [&](const Reader& reader) {
        return !reader.pieces.empty() && std::max(begun, reader.moved) > late;
      });
      if (!moves) return;
    }
  };
  wait_until(&Readers::all_sent);
  for (Reader& reader : readers_) complete(reader);
  wait_until(&Readers::all_sent);
  for (Reader& reader : readers_) {
    if (!reader.is_sending()) shutdown(reader.fd.get(), SHUT_WR);
  }
  wait_until(&Readers::all_acknowledged);
  while (!readers_.empty()) leave(readers_.begin(), "the trace has ended");
}

/// Idempotent.
void Readers::stop() noexcept {
  std::thread thread;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    ended_ = true;
    while (!readers_.empty()) leave(readers_.begin(), "the trace has ended");
    wake();
    tell_left(lock);
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

// With mutex_ held:

bool Readers::must_wait(size_t bytes) const {
  if (failure_) return false;
  if (readers_.empty()) return !no_more_ && !(request_.drops && request_.listens);
  if (request_.drops) return false;
  return std::any_of(readers_.begin(), readers_.end(), [&](const Reader& reader) {
    return reader.queued > 0 && reader.queued + bytes > request_.queue_bytes;
  });
}

bool Readers::all_sent() const {
  return std::all_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return !reader.is_sending(); });
}

bool Readers::all_acknowledged() const {
  return std::all_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return reader.pieces.empty(); });
}

void Readers::wake() const noexcept {
  if (wakes_) [[maybe_unused]]
    const ssize_t n = ::send(wakes_.get(), "", 1, kSendFlags);
}

}  // namespace ringtap

#endif
