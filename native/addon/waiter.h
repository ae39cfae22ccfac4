// Waiting for a source on the event loop.
#pragma once

#include <uv.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "addon/environment.h"
#include "core/source.h"

namespace ringtap::addon {

/// Calls `ready` once on the loop thread after each arm(), when the source may have something.
/// An fd is watched by libuv, and stays watched for as long as the waits for it follow each other; other sources are
/// asked from a thread that backs off and sends one coalesced wake-up, or each millisecond where the host allows no
/// more threads.
class Waiter {
 public:
  /// `source` must outlive stop().
  Waiter(Environment& environment, const Source& source, std::function<void()> ready);

  /// `nap_ms` > 0: look again after so long instead of asking the source.
  void arm(uint32_t nap_ms);
  /// Whether an armed waiter keeps the process alive.
  void set_ref(bool ref);
  /// No more calls. The handles close in their own time and free themselves.
  static void stop(Waiter* waiter);

  /// Blocks this thread until the source may have something; at most `timeout_ms`.
  static void block(const Source& source, int timeout_ms);

 private:
  ~Waiter() = default;
  void fire();
  void on_readable(int status);
  void stop_polling();
  void apply_ref();
  void run_thread();
  template <class T>
  void close_handle(T& handle);

  Environment& environment_;
  const Source& source_;
  const Readiness readiness_;
  std::function<void()> ready_;
  bool armed_ = false;
  bool ref_ = true;
  int open_handles_ = 0;

  uv_timer_t timer_{};
  uv_poll_t poll_{};
  bool has_poll_ = false;
  bool is_polling_ = false;
  int epoll_ = -1;

  uv_async_t async_{};
  bool has_thread_ = false;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool wanted_ = false;
  bool stopping_ = false;
};

}  // namespace ringtap::addon
