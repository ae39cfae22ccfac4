// Per-environment state: a process has one for its main thread and one for each worker.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <set>

namespace ringtap::addon {

class Session;

/// Closes what is open when the environment ends, and lets it end only when every libuv handle is gone.
class Environment {
 public:
  /// The environment's own; made at the first call.
  static Environment& of(Napi::Env env);

  uv_loop_t* loop() const noexcept { return loop_; }

  void add(Session* session) { sessions_.insert(session); }
  void remove(Session* session) { sessions_.erase(session); }

  /// Counted so that teardown can wait for uv_close callbacks.
  void handle_opened() noexcept { handles_++; }
  void handle_closed() noexcept;

  Napi::FunctionReference session_constructor;
  Napi::FunctionReference writer_constructor;

 private:
  explicit Environment(napi_env env);
  static void teardown(napi_async_cleanup_hook_handle handle, void* self);

  napi_env env_;
  uv_loop_t* loop_ = nullptr;
  std::set<Session*> sessions_;
  int handles_ = 0;
  bool ending_ = false;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace ringtap::addon
