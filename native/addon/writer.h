// A trace file being written.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "addon/environment.h"
#include "write/writer.h"

namespace ringtap::addon {

/// append() copies a batch on the JS thread; the rest happens on the writer's own, and settles promises.
class Writer final : public Napi::ObjectWrap<Writer> {
 public:
  static Napi::Function define(Napi::Env env);
  /// openWriter({path, format, linkType, snaplen, delayMs, application}) → Writer, whose tried() tells what came of it.
  /// Throws where no thread can be made.
  static Napi::Value open(const Napi::CallbackInfo& info);

  explicit Writer(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  Napi::Value tried(const Napi::CallbackInfo& info);
  Napi::Value is_open(const Napi::CallbackInfo& info);
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value append_copy(const Napi::CallbackInfo& info);
  Napi::Value room(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void give_up(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);

  Napi::Value append_view(Napi::Env env, BatchView view, const Napi::Value& first, const Napi::Value& end);
  Napi::Value promise(Napi::Env env, const std::function<void(TraceWriter::Done)>& ask);

  std::shared_ptr<TraceWriter> writer_;
};

}  // namespace ringtap::addon
