#include "addon/waiter.h"

#include <algorithm>
#include <chrono>

#include "core/thread.h"

#ifdef __linux__
#include <sys/epoll.h>
#endif
#ifndef _WIN32
#include <poll.h>
#include <unistd.h>
#endif

namespace ringtap::addon {

namespace {

using Clock = std::chrono::steady_clock;

/// Sleeps that double up to the source's limit.
class Backoff {
 public:
  explicit Backoff(uint32_t limit_us) : limit_(limit_us) {}
  std::chrono::microseconds next() {
    const auto now = current_;
    current_ = std::min(current_ * 2, limit_);
    return now;
  }

 private:
  std::chrono::microseconds limit_;
  std::chrono::microseconds current_{1};
};

}  // namespace

Waiter::Waiter(Environment& environment, const Source& source, std::function<void()> ready)
    : environment_(environment), source_(source), readiness_(source.readiness()), ready_(std::move(ready)) {
  const auto opened = [this](auto& handle) {
    handle.data = this;
    open_handles_++;
    environment_.handle_opened();
  };
  uv_timer_init(environment_.loop(), &timer_);
  opened(timer_);
  if (readiness_.kind == Readiness::Kind::kFd) {
    int fd = readiness_.fd;
#ifdef __linux__
    // WHY: libuv makes a polled fd non-blocking and allows one watcher each, which would change a shared stdin for
    // other processes. An epoll set in between is ours alone.
    if (!readiness_.owned) {
      epoll_ = epoll_create1(EPOLL_CLOEXEC);
      epoll_event event{};
      event.events = EPOLLIN;
      if (epoll_ >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) fd = epoll_;
    }
#endif
    has_poll_ = uv_poll_init(environment_.loop(), &poll_, fd) == 0;
    if (has_poll_) opened(poll_);
  } else if (readiness_.kind == Readiness::Kind::kPoll) {
    if (auto thread = start_thread([this] { run_thread(); })) {
      // The thread waits for arm() before it looks at the handle.
      uv_async_init(environment_.loop(), &async_,
                    [](uv_async_t* handle) { static_cast<Waiter*>(handle->data)->fire(); });
      opened(async_);
      has_thread_ = true;
      thread_ = *std::move(thread);
    }
  }
  apply_ref();
}

void Waiter::arm(uint32_t nap_ms) {
  armed_ = true;
  if (has_thread_ && nap_ms == 0) {
    {
      const std::scoped_lock lock(mutex_);
      wanted_ = true;
    }
    wake_.notify_one();
  } else if (has_poll_ && nap_ms == 0) {
    if (!is_polling_) {
      uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int status, int) {
        static_cast<Waiter*>(handle->data)->on_readable(status);
      });
    }
    is_polling_ = true;
  } else {
    stop_polling();
    uv_timer_start(
        &timer_, [](uv_timer_t* handle) { static_cast<Waiter*>(handle->data)->fire(); }, std::max(nap_ms, 1u), 0);
  }
  apply_ref();
}

void Waiter::on_readable(int status) {
  if (status < 0) is_polling_ = false;  // libuv stops at an error, which receive() will find
  // Who waits no more looks no more: what is not read stays readable.
  if (!armed_) return stop_polling();
  fire();
}

void Waiter::stop_polling() {
  // WHY the question: libuv takes the fd out of its epoll set at each stop, a system call, even if it is not in there.
  if (is_polling_) uv_poll_stop(&poll_);
  is_polling_ = false;
}

void Waiter::fire() {
  if (!armed_) return;
  armed_ = false;
  uv_timer_stop(&timer_);
  apply_ref();
  ready_();
}

void Waiter::set_ref(bool ref) {
  ref_ = ref;
  apply_ref();
}

void Waiter::apply_ref() {
  const auto apply = [this](auto& handle) {
    auto* base = reinterpret_cast<uv_handle_t*>(&handle);  // SAFETY: every libuv handle starts as a uv_handle_t
    if (armed_ && ref_) {
      uv_ref(base);
    } else {
      uv_unref(base);
    }
  };
  apply(timer_);
  if (has_poll_) apply(poll_);
  if (has_thread_) apply(async_);
}

void Waiter::run_thread() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait(lock, [this] { return wanted_ || stopping_; });
    Backoff backoff(readiness_.max_sleep_us);
    while (!stopping_ && !source_.pending()) wake_.wait_for(lock, backoff.next());
    wanted_ = false;
    if (!stopping_) uv_async_send(&async_);
  }
}

template <class T>
void Waiter::close_handle(T& handle) {
  auto* base = reinterpret_cast<uv_handle_t*>(&handle);  // SAFETY: every libuv handle starts as a uv_handle_t
  uv_close(base, [](uv_handle_t* closed) {
    auto* waiter = static_cast<Waiter*>(closed->data);
    Environment& environment = waiter->environment_;
    if (--waiter->open_handles_ == 0) delete waiter;
    environment.handle_closed();
  });
}

void Waiter::stop(Waiter* waiter) {
  waiter->armed_ = false;
  if (waiter->has_thread_) {
    {
      const std::scoped_lock lock(waiter->mutex_);
      waiter->stopping_ = true;
    }
    waiter->wake_.notify_one();
    waiter->thread_.join();
  }
  if (waiter->has_poll_) uv_poll_stop(&waiter->poll_);
#ifdef __linux__
  if (waiter->epoll_ >= 0) ::close(waiter->epoll_);
#endif
  waiter->close_handle(waiter->timer_);
  if (waiter->has_poll_) waiter->close_handle(waiter->poll_);
  if (waiter->has_thread_) waiter->close_handle(waiter->async_);
}

void Waiter::block(const Source& source, int timeout_ms) {
  const Readiness readiness = source.readiness();
#ifndef _WIN32
  if (readiness.kind == Readiness::Kind::kFd) {
    pollfd request{readiness.fd, POLLIN, 0};
    poll(&request, 1, timeout_ms);
    return;
  }
#endif
  if (readiness.kind != Readiness::Kind::kPoll) return;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  Backoff backoff(readiness.max_sleep_us);
  while (!source.pending() && Clock::now() < deadline) std::this_thread::sleep_for(backoff.next());
}

}  // namespace ringtap::addon
