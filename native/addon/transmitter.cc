// The sending side of a session.
#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/edits.h"
#include "addon/elements.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "core/untrusted.h"

namespace ringtap::addon {

namespace {

// Results of sendBatch() that are not a count; lib/native/native.ts knows it, too.
constexpr double kReleased = -2;

/// By TxFailure.
constexpr const char* kFailures[] = {"tooShort", "tooLong", "linkDown", "noBuffer", "malformed", "dropped"};
static_assert(std::size(kFailures) == kTxFailures);

/// The packets of a batch that were chosen, as frames to send.
class Chosen {
 public:
  Chosen(const BatchView& view, const Napi::Value& select)
      : view_(view), indices_(elements<uint32_t>(select)), mask_(elements<uint8_t>(select)) {
    if (select.IsTypedArray()) {
      const auto type = select.As<Napi::TypedArray>().TypedArrayType();
      by_index_ = type == napi_uint32_array;
      by_mask_ = !by_index_;
    }
  }

  /// What is wrong with the selection.
  std::optional<Error> fault() const {
    if (by_mask_ && mask_.size() != view_.count) {
      return Error{.code = Code::kBadOption,
                   .message = "sendBatch(): the mask has " + std::to_string(mask_.size()) +
                              " bytes, but the batch has " + std::to_string(view_.count) + " packets"};
    }
    for (size_t i = 0; i < indices_.size(); i++) {
      if (indices_[i] < view_.count) continue;
      return Error{.code = Code::kBadOption,
                   .message = "sendBatch(): select[" + std::to_string(i) + "] is " + std::to_string(indices_[i]) +
                              ", but the batch has " + std::to_string(view_.count) + " packets"};
    }
    return std::nullopt;
  }

  /// Frames from the `first`-th chosen one on, at most `count`.
  std::vector<TxFrame> frames(uint64_t first, uint64_t count) const {
    std::vector<TxFrame> frames;
    const uint64_t there = by_index_ ? indices_.size() : view_.count;
    frames.reserve(std::min(there, count));
    if (by_index_) {
      for (uint64_t i = first; i < there && frames.size() < count; i++)
        frames.push_back(frame(load_once(&indices_[i])));
    } else if (by_mask_) {
      uint64_t chosen = 0;
      for (uint64_t i = 0; i < there && frames.size() < count; i++) {
        if (mask_[i] != 0 && chosen++ >= first) frames.push_back(frame(i));
      }
    } else {
      for (uint64_t i = first; i < there && frames.size() < count; i++) frames.push_back(frame(i));
    }
    return frames;
  }

 private:
  TxFrame frame(uint64_t index) const {
    if (index >= view_.count) return {};
    // SAFETY: JS can write descriptors; each is read once and checked.
    const uint32_t offset = load_once(view_.offset + index);
    const uint32_t caplen = load_once(view_.caplen + index);
    if (offset > view_.segment_bytes || caplen > view_.segment_bytes - offset) return {};
    return {view_.segment + offset, caplen};
  }

  const BatchView view_;
  const std::span<const uint32_t> indices_;
  const std::span<const uint8_t> mask_;
  bool by_index_ = false;
  bool by_mask_ = false;
};

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

/// The same with frames that are changed on the way, in memory of our own.
Napi::Value forwarded(Napi::Env env, Sending& sending, const std::vector<TxFrame>& frames,
                      const rewrite::Edits& edits) {
  constexpr size_t kTogether = 64;
  std::vector<std::byte> memory;
  size_t done = 0;
  while (done < frames.size()) {
    const auto some = std::span(frames).subspan(done, std::min(kTogether, frames.size() - done));
    size_t bytes = 0;
    for (const TxFrame frame : some) bytes += rewrite::kHeadroom + frame.size();
    memory.resize(bytes);
    std::array<TxFrame, kTogether> edited;
    std::span<std::byte> rest = memory;
    for (size_t i = 0; i < some.size(); i++) {
      const auto room = rest.first(rewrite::kHeadroom + some[i].size());
      std::copy(some[i].begin(), some[i].end(), room.begin() + rewrite::kHeadroom);
      edited[i] = rewrite::apply(edits, room, static_cast<uint32_t>(some[i].size()));
      rest = rest.subspan(room.size());
    }
    auto taken = sending.with("forward()", [&](Tx& tx) { return tx.send(std::span(edited).first(some.size())); });
    if (!taken && done == 0) {
      raise(env, taken.error());
      return {};
    }
    if (!taken) break;  // it fails again, when nothing is in front of it
    done += *taken;
    if (*taken < some.size()) break;
  }
  return Napi::Number::New(env, static_cast<double>(done));
}

Napi::Value passed_on(Napi::Env env, Sending& sending, const std::vector<TxFrame>& frames, const Napi::Value& changes) {
  const rewrite::Edits edits = to_edits(changes);
  return edits.empty() ? accepted(env, sending, frames) : forwarded(env, sending, frames, edits);
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

/// send(frame) → false when all frames are under way: flushTx() and try again.
Napi::Value Session::send(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Sending* to = sending(env, "send()");
  if (to == nullptr) return {};
  if (!call[0].IsTypedArray() || call[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    raise(env, Error{.code = Code::kBadOption, .message = uri_ + ": send() takes a Uint8Array"});
    return {};
  }
  const std::span frame = elements<std::byte>(call[0]);
  const auto sent = to->with("send()", [&](Tx& tx) -> Result<bool> {
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
  if (!sent) {
    raise(env, sent.error());
    return {};
  }
  return Napi::Boolean::New(env, *sent);
}

/// sendBatch(first, count, select, session, slot, generation, edits?) → how many of those chosen were accepted, or
/// kReleased.
Napi::Value Session::send_batch(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Sending* to = sending(env, "sendBatch()");
  if (to == nullptr) return {};
  const Session* from = find(env, call[3].As<Napi::Number>().Uint32Value());
  const auto view = from != nullptr
                        ? from->view(call[4].As<Napi::Number>().Uint32Value(), call[5].As<Napi::Number>().Uint32Value())
                        : std::nullopt;
  if (!view) return Napi::Number::New(env, kReleased);
  const Chosen chosen(*view, call[2]);
  if (auto fault = chosen.fault()) {
    raise_at(env, *std::move(fault));
    return {};
  }
  return passed_on(env, *to, chosen.frames(whole(call[0]), whole(call[1])), call[6]);
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
  return passed_on(env, *to, chosen.frames(whole(call[0]), whole(call[1])), call[7]);
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
  Napi::Object failed = Napi::Object::New(env);
  for (size_t i = 0; i < kTxFailures; i++) failed.Set(kFailures[i], static_cast<double>(stats.failed[i]));
  object.Set("failed", failed);
  return object;
}

TxStats Session::tx_stats_now() const { return sending_ ? sending_->stats() : last_tx_stats_; }

}  // namespace ringtap::addon
