// Per-environment state: a process has one for its main thread and one for each worker.
#pragma once

#include <napi.h>
#include <uv.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "addon/handles.h"
#include "addon/mailbox.h"
#include "addon/tasks.h"

namespace ringtap::addon {

/// What is open in an environment, and must not outlive it.
class Tenant {
 public:
  /// The environment ends: stop everything without touching JS.
  virtual void abandon() = 0;

 protected:
  ~Tenant() = default;
};

/// Closes what is open when the environment ends, and lets it end only when every libuv handle is gone.
class Environment final : public Handles {
 public:
  /// The environment's own; made at the first call.
  static Environment& of(Napi::Env env);

  uv_loop_t* loop() const noexcept override { return loop_; }

  /// A number for what is open, never given again.
  uint32_t add(Tenant* tenant) {
    tenants_.emplace(++last_number_, tenant);
    return last_number_;
  }
  void remove(uint32_t number) {
    tenants_.erase(number);
    if (number == recent_number_) recent_ = nullptr;
  }
  /// Null when it is not open any more.
  Tenant* tenant(uint32_t number) {
    if (number == recent_number_) return recent_;
    const auto found = tenants_.find(number);
    recent_number_ = number;
    recent_ = found == tenants_.end() ? nullptr : found->second;
    return recent_;
  }

  /// The flag of an open() that begins, by the number that JS gave it; cancel() sets it.
  std::shared_ptr<std::atomic<bool>> opening(uint32_t number);
  void cancel(uint32_t number);

  /// For threads that have something to say to JavaScript.
  const std::shared_ptr<Mailbox>& mailbox() const noexcept { return mailbox_; }
  Tasks& tasks() noexcept { return tasks_; }

  /// `last_words` runs when the process or the environment is about to end, on the JS thread: the last moment to write
  /// what was promised.
  /// Gives the number to forget() it by.
  uint32_t at_exit(std::function<void()> last_words);
  void forget(uint32_t number) { last_words_.erase(number); }
  /// The process is about to end: gives up what is being opened, and waits for what is at work.
  void exiting();

  /// Counted so that teardown can wait for uv_close callbacks.
  void handle_opened() noexcept override { handles_++; }
  void handle_closed() noexcept override;

  Napi::FunctionReference session_constructor;
  Napi::FunctionReference writer_constructor;
  Napi::FunctionReference meter_constructor;
  Napi::FunctionReference exporter_constructor;
  Napi::FunctionReference connection_constructor;
  Napi::FunctionReference outlet_constructor;
  Napi::FunctionReference replay_constructor;
  Napi::FunctionReference inline_constructor;
  Napi::FunctionReference shares_constructor;

 private:
  explicit Environment(napi_env env);
  void cancel_all();
  static void teardown(napi_async_cleanup_hook_handle handle, void* self);

  uv_loop_t* loop_ = nullptr;
  std::unordered_map<uint32_t, Tenant*> tenants_;
  std::unordered_map<uint32_t, std::weak_ptr<std::atomic<bool>>> openings_;
  uint32_t last_number_ = 0;
  uint32_t recent_number_ = 0;  // the one asked for last, because it is mostly asked for again
  Tenant* recent_ = nullptr;
  int handles_ = 0;
  bool ending_ = false;
  std::shared_ptr<Mailbox> mailbox_;
  Tasks tasks_;
  std::map<uint32_t, std::function<void()>> last_words_;
  uint32_t last_exit_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace ringtap::addon
