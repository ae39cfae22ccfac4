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

/// The sending side, or null with an error that says where.
Tx* Session::sending(Napi::Env env, const char* what) {
  Tx* tx = source_ ? source_->tx() : nullptr;
  if (tx == nullptr)
    raise_at(env, Error{.code = Code::kClosed, .message = std::string(what) + ": the capture was closed"});
  return tx;
}

/// The sending side of a method does not know what it was opened as.
void Session::raise_at(Napi::Env env, Error error) const {
  error.message = uri_ + ": " + error.message;
  raise(env, error);
}

/// send(frame) → false when all frames are under way: flushTx() and try again.
Napi::Value Session::send(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Tx* tx = sending(env, "send()");
  if (tx == nullptr) return {};
  if (!call[0].IsTypedArray()) {
    raise_at(env, Error{.code = Code::kBadOption, .message = "send() takes a Uint8Array"});
    return {};
  }
  const auto frame = call[0].As<Napi::Uint8Array>();
  const std::span<std::byte> room = tx->reserve();
  if (room.empty()) return Napi::Boolean::New(env, false);
  const size_t bytes = frame.ByteLength();
  if (bytes < kMinFrame || bytes > room.size()) {
    tx->cancel();
    raise_at(env, Error{.code = Code::kBadOption,
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
  Tx* tx = sending(call.Env(), "flush()");
  if (tx == nullptr) return {};
  if (auto flushed = tx->flush(); !flushed) {
    raise_at(call.Env(), flushed.error());
    return {};
  }
  return Napi::Number::New(call.Env(), static_cast<double>(tx->stats().queued));
}

/// hasRoomTx() → whether send() would take a frame now.
Napi::Value Session::has_room_tx(const Napi::CallbackInfo& call) {
  Tx* tx = sending(call.Env(), "drain()");
  if (tx == nullptr) return {};
  const bool is_room = !tx->reserve().empty();
  if (is_room) tx->cancel();
  return Napi::Boolean::New(call.Env(), is_room);
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
