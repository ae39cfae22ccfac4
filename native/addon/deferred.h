// A promise on its way to JavaScript.
#pragma once

#include <napi.h>

namespace ringtap::addon {

/// Like Napi::Promise::Deferred, which hands out an uninitialised handle where no promise can be made: in a worker that
/// is being terminated. This one is undefined there, and settling it does nothing.
class Deferred {
 public:
  explicit Deferred(Napi::Env env) : env_(env) {
    if (napi_create_promise(env, &deferred_, &promise_) == napi_ok) return;
    deferred_ = nullptr;
    promise_ = nullptr;
  }

  Napi::Value promise() const { return {env_, promise_}; }

  void resolve(napi_value value) { settle(napi_resolve_deferred, value); }
  void reject(napi_value reason) { settle(napi_reject_deferred, reason); }

 private:
  void settle(decltype(napi_resolve_deferred) how, napi_value value) {
    if (deferred_ != nullptr) how(env_, deferred_, value);
    deferred_ = nullptr;
  }

  napi_env env_;
  napi_deferred deferred_ = nullptr;
  napi_value promise_ = nullptr;
};

}  // namespace ringtap::addon
