// Packets that leave for a client of the daemon.
#pragma once

#include <napi.h>

#include <memory>

#include "serve/outlet.h"

namespace ringtap::addon {

class OutletHandle final : public Napi::ObjectWrap<OutletHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  /// openOutlet({datagrams, local, peer, port, datagramBytes, bufferBytes, snaplen, againBytes, token, trains}) →
  /// Outlet. Throws what the socket fails with.
  static Napi::Value open(const Napi::CallbackInfo& info);

  explicit OutletHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  Napi::Value put(const Napi::CallbackInfo& info);
  Napi::Value written(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value has_more(const Napi::CallbackInfo& info);
  Napi::Value attend(const Napi::CallbackInfo& info);
  void set_filter(const Napi::CallbackInfo& info);
  void set_sampling(const Napi::CallbackInfo& info);
  void set_own(const Napi::CallbackInfo& info);
  Napi::Value port(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::unique_ptr<Outlet> outlet_;  // none: it was closed
  Outlet::Counts counts_;           // as they were then
  Choice::Counts chosen_;
  StreamOutlet* stream_ = nullptr;  // the outlet, if it is one
};

}  // namespace ringtap::addon
