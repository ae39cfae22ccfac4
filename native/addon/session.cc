#include "addon/session.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "addon/convert.h"
#include "addon/errors.h"

namespace ringtap::addon {

Napi::Function Session::define(Napi::Env env) {
  return DefineClass(env, "Session",
                     {
                         InstanceMethod<&Session::info>("info"),
                         InstanceMethod<&Session::add_slot>("addSlot"),
                         InstanceMethod<&Session::copied>("copied"),
                         InstanceMethod<&Session::segment>("segment"),
                         InstanceMethod<&Session::release>("release"),
                         InstanceMethod<&Session::stats>("stats"),
                         InstanceMethod<&Session::error>("error"),
                         InstanceMethod<&Session::set_ref>("setRef"),
                         InstanceMethod<&Session::on_ready>("onReady"),
                         InstanceMethod<&Session::send_batch>("sendBatch"),
                         InstanceMethod<&Session::send_owned>("sendOwned"),
                         InstanceMethod<&Session::send_frames>("sendFrames"),
                         InstanceMethod<&Session::flush_tx>("flushTx"),
                         InstanceMethod<&Session::has_room_tx>("hasRoomTx"),
                         InstanceMethod<&Session::drain_tx>("drainTx"),
                         InstanceMethod<&Session::steer_tx>("steerTx"),
                         InstanceMethod<&Session::tx_stats>("txStats"),
                         InstanceMethod<&Session::remote>("remote"),
                         InstanceMethod<&Session::remote_agree>("remoteAgree"),
                         InstanceMethod<&Session::remote_connect>("remoteConnect"),
                         InstanceMethod<&Session::remote_pipe>("remotePipe"),
                         InstanceMethod<&Session::remote_compile>("remoteCompile"),
                         InstanceMethod<&Session::remote_look>("remoteLook"),
                         InstanceMethod<&Session::remote_adopt>("remoteAdopt"),
                         InstanceMethod<&Session::remote_arrived>("remoteArrived"),
                         InstanceMethod<&Session::remote_counted>("remoteCounted"),
                         InstanceMethod<&Session::remote_settle>("remoteSettle"),
                         InstanceMethod<&Session::remote_end>("remoteEnd"),
                         InstanceMethod<&Session::remote_finish>("remoteFinish"),
                         InstanceMethod<&Session::close>("close"),
                     });
}

Napi::Object Session::make(Napi::Env env, Opened opened) {
  Napi::Object object = Environment::of(env).session_constructor.New({});
  Session* session = object.IsEmpty() ? nullptr : Unwrap(object);
  if (session == nullptr) return {};  // the worker is being terminated
  session->adopt(std::move(opened));
  return object;
}

Session::Session(const Napi::CallbackInfo& info) : ObjectWrap(info), environment_(Environment::of(info.Env())) {}

Session::~Session() { abandon(); }

void Session::adopt(Opened opened) {
  const Napi::Env env = Env();
  uri_ = std::move(opened.uri);
  source_ = std::move(opened.source);
  filter_ = std::move(opened.filter);
  batch_size_ = opened.batch_size;
  external_ = opened.external;
  context_.emplace(env, "ringtap:wait");
  number_ = environment_.add(this);
  if (Tx* tx = source_->tx()) sending_ = std::make_shared<Sending>(tx, uri_);
  for (const Segment& segment : source_->info().segments) {
    if (!external_) break;
    ExposedMemory shown;
    external_ = ExposedMemory::expose(env, segment.base, segment.bytes, segment.region, shown);
    if (external_) segments_.push_back(std::move(shown));
  }
}

Napi::Value Session::info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Object object = Napi::Object::New(env);
  if (!source_) return object;
  const SourceInfo& info = source_->info();
  object.Set("number", number_);
  set_info(object, info, filter_);
  object.Set("readiness", name_of(source_->readiness().kind));
  object.Set("external", external_);
  object.Set("transmits", sending_ != nullptr);
  object.Set("batchSize", batch_size_);
  Napi::Array segments = Napi::Array::New(env, segments_.size());
  for (uint32_t i = 0; i < segments_.size(); i++) segments.Set(i, segments_[i].buffer());
  object.Set("segments", segments);
  return object;
}

/// onReady(callback): what wait() calls. WHY once: to make a reference costs more than to call what it refers to. It is
/// weak but while somebody waits, because the callback's owner owns this session.
void Session::on_ready(const Napi::CallbackInfo& call) { on_ready_ = Napi::Weak(call[0].As<Napi::Function>()); }

/// wait(session): calls back once when there may be packets. No method, as next() is none.
void Session::wait(const Napi::CallbackInfo& call) {
  Session* session = find(call.Env(), call[0].As<Napi::Number>().Uint32Value());
  if (session != nullptr && session->source_ && !session->on_ready_.IsEmpty()) session->wait_for_packets();
}

void Session::wait_for_packets() {
  if (!waiting_) on_ready_.Ref();
  waiting_ = true;
  waiter().arm(nap_ms());
}

Waiter& Session::waiter() {
  if (waiter_ == nullptr) waiter_ = new Waiter(environment_, *source_, [this] { call_back(); });
  return *waiter_;
}

/// How long to sleep instead of asking the source: after a batch until more has gathered, and 1 ms while batches are
/// held, because a ring with a held block stays readable although nothing new can be received.
uint32_t Session::nap_ms() const {
  const Readiness readiness = source_->readiness();
  if (readiness.again_ms > 0) return readiness.again_ms;
  if (woken_) return outstanding_ > 0 ? 1 : 0;
  return readiness.gather_ms;
}

void Session::call_back() {
  const Napi::HandleScope scope(Env());
  woken_ = true;
  const Napi::Function callback = on_ready_.Value();
  on_ready_.Unref();
  waiting_ = false;
  callback.MakeCallback(Value(), std::initializer_list<napi_value>{}, *context_);
}

/// Sleeps on this thread until there may be packets; at most `timeout_ms`.
void Session::block(int timeout_ms) {
  const uint32_t nap = nap_left_ms_ > 0 ? nap_left_ms_ : nap_ms();
  nap_left_ms_ = 0;
  if (nap > 0) {
    const uint32_t now = std::min(nap, static_cast<uint32_t>(timeout_ms));
    std::this_thread::sleep_for(std::chrono::milliseconds(now));
    nap_left_ms_ = nap - now;
  } else {
    Waiter::block(*source_, timeout_ms);
  }
  woken_ = nap_left_ms_ == 0;
}

Napi::Value Session::stats(const Napi::CallbackInfo& call) {
  if (source_) last_stats_ = source_->stats();
  return from_stats(call.Env(), last_stats_);
}

Napi::Value Session::error(const Napi::CallbackInfo& call) {
  if (!source_) return call.Env().Undefined();
  return to_js(call.Env(), source_->error()).Value();
}

void Session::set_ref(const Napi::CallbackInfo& call) {
  if (source_) waiter().set_ref(flag(call[0]));
}

}  // namespace ringtap::addon
