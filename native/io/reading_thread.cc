#include "io/reading_thread.h"

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#ifdef __linux__
#include <sys/eventfd.h>
#endif
#ifndef _WIN32
#include <poll.h>
#endif

namespace ringtap {
namespace {

// How long the end of a read is waited for when nobody wants it any more. From a page cache it takes less.
constexpr auto kParting = std::chrono::milliseconds(20);
#if !defined(__linux__) && !defined(_WIN32)
constexpr int kSliceMs = 50;
#endif

}  // namespace

struct ReadingThread::Shared {
  Descriptor file;
  bool stream = false;
  std::shared_ptr<Tail> tail;
#ifdef __linux__
  Descriptor ready;    // an eventfd: readable unless an answer is awaited
  Descriptor stopped;  // an eventfd: readable once `stop` is set
#endif

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::byte* to = nullptr;  // null: nothing to do
  size_t bytes = 0;
  std::shared_ptr<Region> owner;
  bool answered = true;
  int64_t count = 0;
  int err = 0;
  bool stop = false;
  bool ended = false;

  /// Waits until a stream has something to read or has ended. False when nobody wants it any more.
  bool wait_for_stream() noexcept;
  /// At the end of a file: waits until there may be more. False when nothing comes, or nobody wants it any more.
  bool goes_on() noexcept;
};

bool ReadingThread::Shared::goes_on() noexcept {
  while (tail != nullptr) {
    const Tail::Next next = tail->at_end(file.get());
    if (next != Tail::Next::kWait) return next == Tail::Next::kMore;
#ifdef __linux__
    pollfd waiting[] = {{.fd = stopped.get(), .events = POLLIN, .revents = 0},
                        {.fd = tail->changes(), .events = POLLIN, .revents = 0}};
    poll(waiting, 2, tail->patience_ms());
    if (waiting[0].revents != 0) return false;
#else
    std::unique_lock lock(mutex);
    if (changed.wait_for(lock, std::chrono::milliseconds(tail->patience_ms()), [this] { return stop; })) return false;
#endif
  }
  return false;
}

bool ReadingThread::Shared::wait_for_stream() noexcept {
#if defined(__linux__)
  pollfd waiting[] = {{.fd = file.get(), .events = POLLIN, .revents = 0},
                      {.fd = stopped.get(), .events = POLLIN, .revents = 0}};
  while (poll(waiting, 2, -1) < 0 && errno == EINTR) {
  }
  return waiting[1].revents == 0;
#elif !defined(_WIN32)
  for (;;) {
    pollfd waiting{.fd = file.get(), .events = POLLIN, .revents = 0};
    const bool readable = poll(&waiting, 1, kSliceMs) > 0;
    const std::lock_guard lock(mutex);
    if (stop || readable) return !stop;
  }
#else
  return true;
#endif
}

std::unique_ptr<ReadingThread> ReadingThread::make(Descriptor file, bool stream, std::shared_ptr<Tail> tail) {
  auto shared = std::make_shared<Shared>();
  shared->file = std::move(file);
  shared->stream = stream;
  shared->tail = std::move(tail);
#ifdef __linux__
  shared->ready = Descriptor(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), true);
  shared->stopped = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), true);
  if (shared->ready.get() < 0 || shared->stopped.get() < 0) return nullptr;
#endif
  return std::unique_ptr<ReadingThread>(new ReadingThread(std::move(shared)));
}

ReadingThread::~ReadingThread() {
  if (!thread_.joinable()) return;
  bool ended = false;
  {
    std::unique_lock lock(shared_->mutex);
    shared_->stop = true;
#ifdef __linux__
    eventfd_write(shared_->stopped.get(), 1);
#endif
    shared_->changed.notify_all();
    ended = shared_->changed.wait_for(lock, kParting, [this] { return shared_->ended; });
  }
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

const Descriptor& ReadingThread::file() const noexcept { return shared_->file; }

bool ReadingThread::ask(std::byte* to, size_t bytes, std::shared_ptr<Region> owner) noexcept {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->to = to;
    shared_->bytes = bytes;
    shared_->owner = std::move(owner);
    shared_->answered = false;
#ifdef __linux__
    eventfd_t ignored = 0;
    eventfd_read(shared_->ready.get(), &ignored);
#endif
  }
  shared_->changed.notify_all();
  asked_ = true;
  if (thread_.joinable()) return true;
  try {
    thread_ = std::thread([shared = shared_] { run(shared); });
    return true;
  } catch (const std::system_error& error) {
    errno = error.code().value();
    return false;
  }
}

void ReadingThread::run(const std::shared_ptr<Shared>& shared) noexcept {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->to != nullptr || shared->stop; });
    if (shared->stop) break;
    std::byte* const to = std::exchange(shared->to, nullptr);
    lock.unlock();
    int64_t count = kNothingYet;
    // What another process takes from a stream after the wait holds up this thread, and nobody else.
    while (count == kNothingYet && (!shared->stream || shared->wait_for_stream()))
      count = shared->file.read(to, shared->bytes);
    while (count == 0 && shared->goes_on()) count = shared->file.read(to, shared->bytes);
    const int err = errno;
    lock.lock();
    shared->count = count;
    shared->err = err;
    shared->owner.reset();
    shared->answered = true;
#ifdef __linux__
    eventfd_write(shared->ready.get(), 1);
#endif
    shared->changed.notify_all();
  }
  shared->ended = true;
  shared->changed.notify_all();
}

int64_t ReadingThread::answer() noexcept {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->answered) return kNothingYet;
  asked_ = false;
  errno = shared_->err;
  return shared_->count;
}

bool ReadingThread::wait(int timeout_ms) const noexcept {
  std::unique_lock lock(shared_->mutex);
  return shared_->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return shared_->answered; });
}

Readiness ReadingThread::readiness() const noexcept {
#ifdef __linux__
  return {.kind = Readiness::Kind::kFd, .fd = shared_->ready.get()};
#else
  return {.kind = Readiness::Kind::kPoll};
#endif
}

bool ReadingThread::pending() const noexcept {
  const std::lock_guard lock(shared_->mutex);
  return shared_->answered;
}

}  // namespace ringtap
