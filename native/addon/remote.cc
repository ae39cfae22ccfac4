// What the control channel of a capture on another host, in lib/rpcap, asks and tells the session that packets arrive
// at.
#include "core/remote.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/errors.h"
#include "addon/session.h"

namespace ringtap::addon {

namespace {

Code code_of(const std::string& text) {
#define RINGTAP_ERROR(id, name, meaning, hint) \
  if (text == (name)) return Code::id;
#include "generated/errors.inc"
#undef RINGTAP_ERROR
  return Code::kInternal;
}

using Made = Result<std::shared_ptr<Remote::Connection>>;

Made connect(const Remote::Connecting& connecting) {
  try {
    return connecting();
  } catch (const std::exception& fault) {
    return Error{.code = Code::kInternal, .message = std::string("connecting failed: ") + fault.what()};
  }
}

}  // namespace

/// remote(): the port that datagrams are awaited at, 0 where there is none, and the program for the other host to
/// filter with.
Napi::Value Session::remote(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return env.Undefined();
  const Program& program = remote->filter();
  Napi::Uint32Array flat = Napi::Uint32Array::New(env, program.size() * 4);
  if (flat.IsEmpty()) return {};  // the worker is being terminated
  uint32_t* at = flat.Data();
  for (const BpfInsn& insn : program) {
    for (const uint32_t word : {uint32_t{insn.code}, uint32_t{insn.jt}, uint32_t{insn.jf}, insn.k}) *at++ = word;
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("port", remote->port());
  object.Set("filter", flat);
  return object;
}

/// remoteConnect(port): the packets come from there.
Napi::Value Session::remote_connect(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred connected(env);
  const Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return connected.promise();
  auto made = std::make_shared<std::optional<Made>>();
  const auto work = [made, connecting = remote->connecting(static_cast<uint16_t>(number(call[0])))] {
    *made = connect(connecting);
  };
  auto done = [made, connected, session = number_](Napi::Env there) mutable {
    Session* const self = find(there, session);
    if (self == nullptr) {
      connected.reject(to_js(there, Error{.code = Code::kClosed, .message = "it was closed meanwhile"}).Value());
      return;
    }
    Made& result = **made;
    if (!result) return connected.reject(to_js(there, result.error()).Value());
    auto attached = self->source_->remote()->attach(*std::move(result));
    if (!attached) return connected.reject(to_js(there, attached.error()).Value());
    connected.resolve(there.Undefined());
  };
  auto started = environment_.tasks().start(work, std::move(done));
  if (!started) connected.reject(to_js(env, started.error()).Value());
  return connected.promise();
}

/// remoteCounted(interfaceDropped, kernelDropped): what the other host has counted since the capture began there.
void Session::remote_counted(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return;
  remote->counted({.interface_dropped = static_cast<uint32_t>(number(call[0])),
                   .kernel_dropped = static_cast<uint32_t>(number(call[1]))});
}

/// remoteEnd(code, message, hint): nothing comes any more.
void Session::remote_end(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return;
  remote->end({.code = code_of(text(call[0])), .message = text(call[1]), .hint = text(call[2])});
}

}  // namespace ringtap::addon
