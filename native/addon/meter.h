// The flow meter, for JavaScript.
#pragma once

#include <napi.h>

#include <memory>

#include "flow/meter.h"
#include "protocol/dissector.h"

namespace ringtap::addon {

class MeterHandle final : public Napi::ObjectWrap<MeterHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value open(const Napi::CallbackInfo& info);
  static Napi::Value lines(const Napi::CallbackInfo& info);

  explicit MeterHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value add_owned(const Napi::CallbackInfo& info);
  Napi::Value advance(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value next_events(const Napi::CallbackInfo& info);
  Napi::Value take_events(const Napi::CallbackInfo& info);

  Napi::Value waiting(Napi::Env env) const;

  std::unique_ptr<protocol::Dissector> dissector_;  // null: no protocols
  std::unique_ptr<flow::Meter> meter_;
};

}  // namespace ringtap::addon
