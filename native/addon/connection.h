// Connections that JavaScript has made, for native code to read from or write to.
#pragma once

#include <napi.h>

#include <memory>

#include "io/connection.h"

namespace ringtap::addon {

/// Owns its socket until something is opened with it.
class ConnectionHandle final : public Napi::ObjectWrap<ConnectionHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  /// adopt(fd): the connection of a socket that JavaScript is about to close: its descriptor is duplicated. Undefined
  /// where it is no socket.
  static Napi::Value adopt(const Napi::CallbackInfo& info);
  /// pair(): [connection, fd], two ends of a new one; whoever asks owns the descriptor.
  static Napi::Value pair(const Napi::CallbackInfo& info);
  /// Null where the value is none.
  static std::shared_ptr<Connection> of(const Napi::Value& value);

  explicit ConnectionHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  static Napi::Object make(Napi::Env env, std::shared_ptr<Connection> connection);
  void cut(const Napi::CallbackInfo& info);
  void end(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<Connection> connection_;
};

}  // namespace ringtap::addon
