// A trace file being written.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/environment.h"
#include "format/writer.h"

namespace ringtap::addon {

/// append() copies a batch on the JS thread; drain() and close() write on another.
class Writer final : public Napi::ObjectWrap<Writer> {
 public:
  static Napi::Function define(Napi::Env env);
  /// openWriter({path, format, linkType, snaplen, application}) → Writer; throws what create() fails with.
  static Napi::Value open(const Napi::CallbackInfo& info);

  explicit Writer(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value ready(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);

  // Shared with the workers, which may outlive this object.
  std::shared_ptr<TraceWriter> writer_;
};

}  // namespace ringtap::addon
