#ifndef _WIN32

#include "addon/connection.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "addon/convert.h"
#include "addon/environment.h"
#include "addon/errors.h"

namespace ringtap::addon {

Napi::Function ConnectionHandle::define(Napi::Env env) {
  return DefineClass(env, "Connection",
                     {InstanceMethod<&ConnectionHandle::cut>("cut"), InstanceMethod<&ConnectionHandle::end>("end"),
                      InstanceMethod<&ConnectionHandle::close>("close")});
}

Napi::Object ConnectionHandle::make(Napi::Env env, std::shared_ptr<Connection> connection) {
  Napi::Object object = Environment::of(env).connection_constructor.New({});
  ConnectionHandle* const made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  made->connection_ = std::move(connection);
  return object;
}

Napi::Value ConnectionHandle::adopt(const Napi::CallbackInfo& info) {
  const auto fd = static_cast<int>(number(info[0]));
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return info.Env().Undefined();
  UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) {
    raise(info.Env(), system_error(Code::kSystem, "no descriptor for the connection", "fcntl", errno));
    return {};
  }
  return make(info.Env(), std::make_shared<Connection>(std::move(own)));
}

Napi::Value ConnectionHandle::pair(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    raise(env, system_error(Code::kSystem, "no descriptors for the bytes of a connection", "socketpair", errno));
    return {};
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  for (const int fd : ends) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  const Napi::Object connection = make(env, std::make_shared<Connection>(std::move(ours)));
  if (connection.IsEmpty()) return {};
  Napi::Array both = Napi::Array::New(env, 2);
  both.Set(0U, connection);
  both.Set(1U, theirs.release());
  return both;
}

std::shared_ptr<Connection> ConnectionHandle::of(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const ConnectionHandle* const handle = Unwrap(value.As<Napi::Object>());
  return handle == nullptr ? nullptr : handle->connection_;
}

/// cut(at): behind so many of its bytes begins another trace.
void ConnectionHandle::cut(const Napi::CallbackInfo& info) {
  if (connection_ != nullptr) connection_->cut(static_cast<uint64_t>(number(info[0])));
}

/// end(message, hint): why it ends, RINGTAP_REMOTE_LOST; before its bytes do.
void ConnectionHandle::end(const Napi::CallbackInfo& info) {
  if (connection_ == nullptr) return;
  connection_->end({.code = Code::kRemoteLost, .message = text(info[0]), .hint = text(info[1])});
}

/// close(): nothing was opened with it.
void ConnectionHandle::close(const Napi::CallbackInfo&) {
  if (connection_ != nullptr) connection_->take();
}

}  // namespace ringtap::addon

#endif
