// Messages from other threads to JavaScript.
#pragma once

#include <napi.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "addon/handles.h"

namespace ringtap::addon {

/// Messages from any thread to the JS thread of one environment. Threads hold it by shared_ptr, as they may outlive the
/// environment.
class Mailbox {
 public:
  /// Runs on the JS thread, in a handle scope and a callback scope: it may settle promises, not throw.
  using Message = std::function<void(Napi::Env)>;

  /// JS thread.
  static std::shared_ptr<Mailbox> make(Napi::Env env, Handles& handles);

  /// Any thread. Messages run in the order they were posted. False when the environment has ended: then the message is
  /// dropped unrun, on this thread.
  bool post(Message message);

  /// JS thread: while held more often than released, the event loop stays alive.
  void hold();
  void release();

  /// JS thread: the environment ends. Messages that wait are dropped unrun.
  void close();

 private:
  explicit Mailbox(Napi::Env env) : env_(env) {}
  void run();

  // Freed when libuv has let go of it, which may be later than the mailbox.
  struct Handle {
    uv_async_t async{};
    Handles* counted = nullptr;
    Mailbox* mailbox = nullptr;
  };

  napi_env env_;
  std::optional<Napi::AsyncContext> context_;
  int holds_ = 0;

  std::mutex mutex_;  // guards what follows
  Handle* handle_ = nullptr;
  std::vector<Message> messages_;
};

}  // namespace ringtap::addon
