// The sending side of a session.
#include <cstring>
#include <span>
#include <string>

#include "addon/errors.h"
#include "addon/session.h"

namespace ringtap::addon {

namespace {

constexpr size_t kMinFrame = 14;  // an Ethernet header

}  // namespace

/// send(frame) → false when all frames are under way: flushTx() and try again.
Napi::Value Session::send(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Tx* tx = source_ ? source_->tx() : nullptr;
  if (tx == nullptr) {
    raise(env, Error{.code = Code::kClosed, .message = "send(): the capture was closed"});
    return {};
  }
  if (!call[0].IsTypedArray()) {
    raise(env, Error{.code = Code::kBadOption, .message = "send() takes a Uint8Array"});
    return {};
  }
  const auto frame = call[0].As<Napi::Uint8Array>();
  const std::span<std::byte> room = tx->reserve();
  if (room.empty()) return Napi::Boolean::New(env, false);
  const size_t bytes = frame.ByteLength();
  if (bytes < kMinFrame || bytes > room.size()) {
    tx->cancel();
    raise(env, Error{.code = Code::kBadOption,
                     .message = "a frame to send has " + std::to_string(kMinFrame) + " to " +
                                std::to_string(room.size()) + " bytes here, not " + std::to_string(bytes)});
    return {};
  }
  std::memcpy(room.data(), frame.Data(), bytes);
  tx->submit(static_cast<uint32_t>(bytes));
  return Napi::Boolean::New(env, true);
}

/// flushTx() → how many frames are still queued.
Napi::Value Session::flush_tx(const Napi::CallbackInfo& call) {
  Tx* tx = source_ ? source_->tx() : nullptr;
  if (tx == nullptr) {
    raise(call.Env(), Error{.code = Code::kClosed, .message = "flush(): the capture was closed"});
    return {};
  }
  if (auto flushed = tx->flush(); !flushed) {
    raise(call.Env(), flushed.error());
    return {};
  }
  return Napi::Number::New(call.Env(), static_cast<double>(tx->stats().queued));
}

Napi::Value Session::tx_stats(const Napi::CallbackInfo& call) {
  if (Tx* tx = source_ ? source_->tx() : nullptr) last_tx_stats_ = tx->stats();
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("sent", static_cast<double>(last_tx_stats_.sent));
  object.Set("queued", static_cast<double>(last_tx_stats_.queued));
  object.Set("failed", static_cast<double>(last_tx_stats_.failed));
  return object;
}

}  // namespace ringtap::addon
