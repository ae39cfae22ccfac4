// The sending side of a session.
#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/elements.h"
#include "addon/errors.h"
#include "addon/passing.h"
#include "addon/session.h"

namespace ringtap::addon {

namespace {

// Results of sendBatch() that are not a count; lib/native/native.ts knows it, too.
constexpr double kReleased = -2;

/// By TxFailure.
constexpr const char* kFailures[] = {"tooShort", "tooLong", "linkDown", "noBuffer", "malformed", "dropped", "ttl"};
static_assert(std::size(kFailures) == kTxFailures);

uint64_t whole(const Napi::Value& value) {
  constexpr double kMost = 4294967295;
  return value.IsNumber() ? static_cast<uint64_t>(std::clamp<double>(number(value), 0, kMost)) : 0;
}

Napi::Value accepted(Napi::Env env, Sending& sending, const std::vector<TxFrame>& frames) {
  if (frames.empty()) return Napi::Number::New(env, 0);
  auto taken = sending.with("sendBatch()", [&](Tx& tx) { return tx.send(frames); });
  if (!taken) {
    raise(env, taken.error());
    return {};
  }
  return Napi::Number::New(env, *taken);
}

}  // namespace

/// What is below does not know what it was opened as.
void Session::raise_at(Napi::Env env, Error error) const {
  error.message = uri_ + ": " + error.message;
  raise(env, error);
}

/// The sending side, or null with an error that says where.
Sending* Session::sending(Napi::Env env, const char* what) {
  if (sending_) return sending_.get();
  raise(env, Error{.code = Code::kClosed, .message = uri_ + ": " + what + ": the capture was closed"});
  return nullptr;
}

/// send(session, frame) → false when all frames are under way: flushTx() and try again; undefined once it was closed.
/// No method, as next() is none.
Napi::Value Session::send(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const Session* session = find(env, call[0].As<Napi::Number>().Uint32Value());
  if (session == nullptr || !session->sending_) return env.Undefined();
  const std::span frame = elements<std::byte>(call[1]);
  const auto sent = session->sending_->with("send()", [&](Tx& tx) -> Result<bool> {
    const TxLimits limits = tx.limits();
    const std::span<std::byte> room = tx.reserve();
    if (limits.refuses(frame) || (!room.empty() && frame.size() > room.size())) {
      tx.cancel();
      return Error{.code = Code::kBadOption,
                   .message = "a frame to send has " + std::to_string(std::max(limits.header, 1u)) + " to " +
                              std::to_string(limits.longest(frame)) + " bytes here, not " +
                              std::to_string(frame.size())};
    }
    if (room.empty()) return false;
    std::memcpy(room.data(), frame.data(), frame.size());
    tx.submit(static_cast<uint32_t>(frame.size()));
    return true;
  });
  if (sent) return Napi::Boolean::New(env, *sent);
  // WHY only now: it is asked of each frame otherwise.
  const bool is_bytes = call[1].IsTypedArray() && call[1].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (is_bytes || sent.error().code != Code::kBadOption) {
    raise(env, sent.error());
  } else {
    raise(env, Error{.code = Code::kBadOption, .message = session->uri_ + ": send() takes a Uint8Array"});
  }
  return {};
}

/// sendBatch(first, count, select, session, slot, generation, edits?) → how many of those chosen were accepted, or
/// kReleased. With edits, be there any, they are passed on: of this capture without a copy where it can.
Napi::Value Session::send_batch(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Sending* to = sending(env, "sendBatch()");
  if (to == nullptr) return {};
  const Session* from = find(env, call[3].As<Napi::Number>().Uint32Value());
  const uint32_t number = call[4].As<Napi::Number>().Uint32Value();
  const auto view = from != nullptr ? from->view(number, call[5].As<Napi::Number>().Uint32Value()) : std::nullopt;
  if (!view) return Napi::Number::New(env, kReleased);
  const Chosen chosen(*view, call[2]);
  if (auto fault = chosen.fault()) {
    raise_at(env, *std::move(fault));
    return {};
  }
  const uint64_t first = whole(call[0]), count = whole(call[1]);
  if (!call[6].IsObject()) return accepted(env, *to, chosen.frames(first, count));
  Lender lender;
  if (from == this)
    lender = {.source = source_.get(), .lease = slots_[number]->lease, .block = slots_[number]->block.get()};
  return passed_on(env, *to, chosen, first, count, call[6], lender);
}

/// sendOwned(first, count, select, bytes, offset, caplen, length, edits?): the same with packets in memory of
/// JavaScript's own.
Napi::Value Session::send_owned(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Sending* to = sending(env, "sendBatch()");
  if (to == nullptr) return {};
  const auto bytes = elements<std::byte>(call[3]);
  const auto offset = elements<uint32_t>(call[4]);
  const auto caplen = elements<uint32_t>(call[5]);
  BatchView view;
  view.offset = offset.data();
  view.caplen = caplen.data();
  view.count = static_cast<uint32_t>(std::min<uint64_t>({offset.size(), caplen.size(), whole(call[6])}));
  view.segment = bytes.data();
  view.segment_bytes = bytes.size();
  const Chosen chosen(view, call[2]);
  if (auto fault = chosen.fault()) {
    raise_at(env, *std::move(fault));
    return {};
  }
  const uint64_t first = whole(call[0]), count = whole(call[1]);
  if (!call[7].IsObject()) return accepted(env, *to, chosen.frames(first, count));
  return passed_on(env, *to, chosen, first, count, call[7], {});
}

/// sendFrames(frames, first, count) → how many were accepted. Its elements were checked.
Napi::Value Session::send_frames(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Sending* to = sending(env, "sendBatch()");
  if (to == nullptr) return {};
  const auto list = call[0].As<Napi::Array>();
  const uint64_t first = whole(call[1]);
  const uint64_t end = std::min<uint64_t>(list.Length(), first + whole(call[2]));
  std::vector<TxFrame> frames;
  for (uint64_t i = first; i < end; i++) {
    // A handle for each would stay until the call ends.
    const Napi::HandleScope scope(env);
    frames.push_back(elements<std::byte>(list.Get(static_cast<uint32_t>(i))));
  }
  return accepted(env, *to, frames);
}

/// flushTx() → how many frames are still queued.
Napi::Value Session::flush_tx(const Napi::CallbackInfo& call) {
  Sending* to = sending(call.Env(), "flush()");
  if (to == nullptr) return {};
  const auto queued = to->with("flush()", [](Tx& tx) -> Result<uint64_t> {
    if (auto flushed = tx.flush(); !flushed) return std::move(flushed).error();
    return tx.stats().queued;
  });
  if (!queued) {
    raise(call.Env(), queued.error());
    return {};
  }
  return Napi::Number::New(call.Env(), static_cast<double>(*queued));
}

/// hasRoomTx() → whether send() would take a frame now.
Napi::Value Session::has_room_tx(const Napi::CallbackInfo& call) {
  Sending* to = sending(call.Env(), "drain()");
  if (to == nullptr) return {};
  const auto is_room = to->has_room("drain()");
  if (!is_room) {
    raise(call.Env(), is_room.error());
    return {};
  }
  return Napi::Boolean::New(call.Env(), *is_room);
}

/// drainTx() → a promise of a Sending::Drained: what is queued is sent on another thread, as Sending::drain() has it.
Napi::Value Session::drain_tx(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Deferred drained(env);
  if (!sending_) {
    drained.reject(to_js(env, Error{.code = Code::kClosed, .message = uri_ + ": the capture was closed"}).Value());
    return drained.promise();
  }
  sending_->cancel(false);
  auto result = std::make_shared<Result<Sending::Drained>>(Sending::Drained::kEmpty);
  auto started =
      environment_.tasks().start([sending = sending_, result] { *result = sending->drain(); },
                                 [result, drained](Napi::Env there) mutable {
                                   if (*result) {
                                     return drained.resolve(Napi::Number::New(there, static_cast<double>(**result)));
                                   }
                                   drained.reject(to_js(there, result->error()).Value());
                                 });
  if (!started) drained.reject(to_js(env, started.error()).Value());
  return drained.promise();
}

/// steerTx(wantsRoom, patienceMs, cancelled): what drainTx() that runs waits for.
void Session::steer_tx(const Napi::CallbackInfo& call) {
  if (!sending_) return;
  sending_->wants_room(flag(call[0]));
  sending_->patience(std::chrono::milliseconds(whole(call[1])));
  sending_->cancel(flag(call[2]));
}

Napi::Value Session::tx_stats(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const TxStats stats = tx_stats_now();
  Napi::Object object = Napi::Object::New(env);
  object.Set("accepted", static_cast<double>(stats.accepted));
  object.Set("completed", static_cast<double>(stats.completed));
  object.Set("queued", static_cast<double>(stats.queued));
  object.Set("zeroCopy", static_cast<double>(stats.zero_copy));
  Napi::Object failed = Napi::Object::New(env);
  for (size_t i = 0; i < kTxFailures; i++) failed.Set(kFailures[i], static_cast<double>(stats.failed[i]));
  object.Set("failed", failed);
  return object;
}

TxStats Session::tx_stats_now() const { return sending_ ? sending_->stats() : last_tx_stats_; }

}  // namespace ringtap::addon
