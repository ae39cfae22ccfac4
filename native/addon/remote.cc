// What the control channel of a capture on another host, in lib/rpcap, asks and tells the session that packets arrive
// at.
#include "core/remote.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/elements.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "libpcap/compile.h"

namespace ringtap::addon {

namespace {

Code code_of(const std::string& text) {
#define RINGTAP_ERROR(id, name, meaning, hint) \
  if (text == (name)) return Code::id;
#include "generated/errors.inc"
#undef RINGTAP_ERROR
  return Code::kInternal;
}

/// code, jt, jf, k of each instruction. Empty: the worker is being terminated.
Napi::Uint32Array flat(Napi::Env env, const Program& program) {
  Napi::Uint32Array words = Napi::Uint32Array::New(env, program.size() * 4);
  if (words.IsEmpty()) return words;
  uint32_t* at = words.Data();
  for (const BpfInsn& insn : program) {
    for (const uint32_t word : {uint32_t{insn.code}, uint32_t{insn.jt}, uint32_t{insn.jf}, insn.k}) *at++ = word;
  }
  return words;
}

Result<Program> compile(const Remote::Compiling& compiling) {
  try {
    return compiling();
  } catch (const std::exception& fault) {
    return Error{.code = Code::kInternal, .message = std::string("compiling failed: ") + fault.what()};
  }
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
  const Napi::Uint32Array program = flat(env, remote->filter());
  if (program.IsEmpty()) return {};
  Napi::Object object = Napi::Object::New(env);
  object.Set("port", remote->port());
  object.Set("filter", program);
  return object;
}

/// remoteAgree(token, datagramBytes, recovery): what was agreed on with the other host.
void Session::remote_agree(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return;
  RemoteAgreement agreed{.datagram_bytes = word(call[1]), .recovery = flag(call[2])};
  const auto token = elements<std::byte>(call[0]);
  std::copy_n(token.begin(), std::min(token.size(), agreed.token.size()), agreed.token.begin());
  if (auto done = remote->agree(agreed); !done) raise_at(call.Env(), std::move(done).error());
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

/// remotePipe(): a descriptor, the caller's, that packets are written to; -1 where it is closed.
Napi::Value Session::remote_pipe(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return Napi::Number::New(env, -1);
  auto made = remote->pipe();
  if (!made) {
    raise_at(env, std::move(made).error());
    return {};
  }
  return Napi::Number::New(env, made->release());
}

/// remoteCompile(filter): a program of it for the other host, as a promise.
Napi::Value Session::remote_compile(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred compiled(env);
  const Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) {
    compiled.reject(to_js(env, Error{.code = Code::kClosed, .message = "it was closed"}).Value());
    return compiled.promise();
  }
  std::shared_ptr<Filter> filter;
  if (call[0].IsString()) filter = make_filter(text(call[0]), source_->info().snaplen);
  if (call[0].IsTypedArray()) filter = make_filter(to_program(call[0].As<Napi::Uint32Array>()));
  auto made = std::make_shared<std::optional<Result<Program>>>();
  const auto work = [made, compiling = remote->compiling(std::move(filter))] { *made = compile(compiling); };
  auto done = [made, compiled, session = number_](Napi::Env there) mutable {
    Session* const self = find(there, session);
    Result<Program>& result = **made;
    if (self == nullptr || !result) {
      const Error closed{.code = Code::kClosed, .message = "it was closed meanwhile"};
      return compiled.reject(to_js(there, self == nullptr ? closed : result.error()).Value());
    }
    const Napi::Uint32Array program = flat(there, *result);
    self->remote_program_ = *std::move(result);
    if (!program.IsEmpty()) compiled.resolve(program);
  };
  auto started = environment_.tasks().start(work, std::move(done));
  if (!started) compiled.reject(to_js(env, started.error()).Value());
  return compiled.promise();
}

/// remoteLook(on): whether packets that the other host has let pass are looked at here, too.
void Session::remote_look(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote != nullptr) remote->look(flag(call[0]));
}

/// remoteAdopt(): the other host filters with what was compiled last from now on. WHY kept here: what JavaScript has of
/// it may have been written to.
void Session::remote_adopt(const Napi::CallbackInfo&) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote != nullptr && remote_program_) remote->adopt(*std::exchange(remote_program_, std::nullopt));
}

/// remoteArrived(): how many bytes of packets have come and were read by now; undefined: some wait to be read.
Napi::Value Session::remote_arrived(const Napi::CallbackInfo& call) {
  const Remote* remote = source_ ? source_->remote() : nullptr;
  const auto bytes = remote == nullptr ? std::nullopt : remote->arrived();
  return bytes ? Napi::Number::New(call.Env(), static_cast<double>(*bytes)) : call.Env().Undefined();
}

/// remoteCounted(interfaceDropped, kernelDropped, sent): what the other host has counted since the capture began there;
/// `sent` is undefined where that is not the number of the last packet.
void Session::remote_counted(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return;
  remote->counted({.interface_dropped = static_cast<uint32_t>(number(call[0])),
                   .kernel_dropped = static_cast<uint32_t>(number(call[1])),
                   .sent = call[2].IsNumber() ? std::optional(static_cast<uint32_t>(number(call[2]))) : std::nullopt});
}

/// remoteSettle(): before a close(); true once all that the other host had sent has come, or is known to be lost.
Napi::Value Session::remote_settle(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  return Napi::Boolean::New(call.Env(), remote == nullptr || remote->settle());
}

/// remoteEnd(code, message, hint): nothing comes any more.
void Session::remote_end(const Napi::CallbackInfo& call) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote == nullptr) return;
  remote->end({.code = code_of(text(call[0])), .message = text(call[1]), .hint = text(call[2])});
}

/// remoteFinish(): the same, and nothing is wrong.
void Session::remote_finish(const Napi::CallbackInfo&) {
  Remote* remote = source_ ? source_->remote() : nullptr;
  if (remote != nullptr) remote->finish();
}

}  // namespace ringtap::addon
