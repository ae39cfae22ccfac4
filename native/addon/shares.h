// Sources that share a target's packets, for JavaScript: the set belongs to whoever opened it, and its readers are
// sessions in any thread of the process.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "addon/environment.h"
#include "addon/session.h"
#include "stages/share_set.h"

namespace ringtap::addon {

class SharesHandle final : public Napi::ObjectWrap<SharesHandle>, private Tenant {
 public:
  static Napi::Function define(Napi::Env env);
  /// Empty when the environment is ending; the sources are closed then. `opened` has no source, but how it is read.
  static Napi::Object make(Napi::Env env, Shares shares, Session::Opened opened);
  /// attachShare(set, share) → Session: in whatever thread. Throws CLOSED, BUSY.
  static Napi::Value attach(const Napi::CallbackInfo& info);

  explicit SharesHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~SharesHandle() override { abandon(); }

 private:
  struct Entry;

  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  void give_up(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void abandon() override;
  std::shared_ptr<Entry> leave();

  std::shared_ptr<Entry> entry_;  // none: it was closed
  std::shared_ptr<Entry> last_;   // what stats() tells of then
  Environment* environment_ = nullptr;
  uint32_t number_ = 0;  // in the environment
};

/// threadCpu() → ms of processor time that this thread has used.
Napi::Value thread_cpu(const Napi::CallbackInfo& info);
/// cpus(): those that this thread may run on.
Napi::Value cpus(const Napi::CallbackInfo& info);
/// pin(cpus): this thread runs on these processors. Gives false where it may not.
Napi::Value pin(const Napi::CallbackInfo& info);

}  // namespace ringtap::addon
