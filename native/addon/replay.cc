#include "addon/replay.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/edits.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "core/untrusted.h"

namespace ringtap::addon {

namespace {

// Result of add() that is no count; lib/native/native.ts knows it, too.
constexpr double kReleased = -2;

replay::Settings to_settings(const Napi::Object& given) {
  using Pace = replay::Settings::Pace;
  replay::Settings settings;
  const std::string pace = text(given.Get("pace"));
  settings.pace = pace == "pps"        ? Pace::kPackets
                  : pace == "bps"      ? Pace::kBits
                  : pace == "topSpeed" ? Pace::kTopSpeed
                                       : Pace::kRecorded;
  settings.rate = number(given.Get("rate"));
  if (!(settings.rate > 0)) settings.rate = 1;
  settings.loops = static_cast<uint64_t>(std::clamp<double>(number(given.Get("loops")), 0, 4294967295));
  settings.shifts = flag(given.Get("shifts"));
  const std::string oversize = text(given.Get("oversize"));
  settings.oversize = oversize == "skip"       ? replay::Oversize::kSkip
                      : oversize == "truncate" ? replay::Oversize::kTruncate
                                               : replay::Oversize::kRefuse;
  settings.memory_bytes = static_cast<uint64_t>(std::clamp<double>(number(given.Get("memoryBytes")), 0, 1e15));
  settings.edits = {to_edits(given.Get("rewrite")), to_edits(given.Get("serverRewrite"))};
  if (given.Get("clients").IsArray()) {
    const auto list = given.Get("clients").As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) {
      if (const auto mac = mac_of(list.Get(i))) settings.sides.macs.push_back(*mac);
      if (const auto network = network_of(list.Get(i))) settings.sides.networks.push_back(*network);
    }
  }
  return settings;
}

/// Through the session's sending side, which others may use meanwhile.
replay::Way way_through(const std::shared_ptr<Sending>& sending) {
  const auto limits = sending->with("replay()", [](Tx& tx) -> Result<TxLimits> { return tx.limits(); });
  return {.send =
              [sending](std::span<const TxFrame> frames) {
                return sending->with("replay()", [frames](Tx& tx) { return tx.send(frames); });
              },
          .flush = [sending] { return sending->with("replay()", [](Tx& tx) { return tx.flush(); }); },
          .stats = [sending] { return sending->stats(); },
          .limits = limits ? *limits : TxLimits{}};
}

}  // namespace

Napi::Function ReplayHandle::define(Napi::Env env) {
  return DefineClass(env, "Replay",
                     {
                         InstanceMethod<&ReplayHandle::add>("add"),
                         InstanceMethod<&ReplayHandle::play>("play"),
                         InstanceMethod<&ReplayHandle::stop>("stop"),
                         InstanceMethod<&ReplayHandle::progress>("progress"),
                     });
}

ReplayHandle::ReplayHandle(const Napi::CallbackInfo& info)
    : ObjectWrap(info), environment_(Environment::of(info.Env())) {}

ReplayHandle::~ReplayHandle() { abandon(); }

void ReplayHandle::abandon() {
  if (player_) player_->stop();
  if (number_ != 0) environment_.remove(number_);
  number_ = 0;
}

Napi::Value ReplayHandle::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Environment& environment = Environment::of(env);
  std::vector<replay::Way> ways;
  for (size_t i = 1; i < info.Length(); i++) {
    const Session* session = Session::find(env, info[i].As<Napi::Number>().Uint32Value());
    if (session == nullptr || !session->sending()) {
      raise(env, Error{.code = Code::kClosed, .message = "the transmitter was closed"});
      return {};
    }
    ways.push_back(way_through(session->sending()));
  }
  Napi::Object object = environment.replay_constructor.New({});
  ReplayHandle* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  made->player_ = std::make_shared<replay::Player>(to_settings(info[0].As<Napi::Object>()), std::move(ways));
  made->number_ = environment.add(made);
  return object;
}

/// add(session, slot, generation, count) → how many of the first `count` packets are kept, or kReleased.
Napi::Value ReplayHandle::add(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Session* session = Session::find(env, info[0].As<Napi::Number>().Uint32Value());
  const auto view = session != nullptr ? session->view(info[1].As<Napi::Number>().Uint32Value(),
                                                       info[2].As<Napi::Number>().Uint32Value())
                                       : std::nullopt;
  if (!view || plays_) return Napi::Number::New(env, kReleased);
  const uint32_t count = std::min(view->count, info[3].As<Napi::Number>().Uint32Value());
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++) {
    // SAFETY: JS can write descriptors; each is read once and checked.
    const uint32_t offset = load_once(view->offset + i);
    const uint32_t caplen = load_once(view->caplen + i);
    if (offset > view->segment_bytes || caplen > view->segment_bytes - offset) continue;
    const double time = load_once(view->time + i);
    constexpr double kMostTime = 9e18;
    const int64_t time_ns = time > -kMostTime && time < kMostTime ? static_cast<int64_t>(time) : 0;
    const auto added = player_->add({view->segment + offset, caplen}, load_once(view->wirelen + i), time_ns);
    if (!added) {
      raise(env, added.error());
      return {};
    }
    kept += *added;
  }
  return Napi::Number::New(env, kept);
}

/// play() → a promise of the end.
Napi::Value ReplayHandle::play(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred ended(env);
  plays_ = true;
  auto result = std::make_shared<Result<Ok>>(Ok{});
  auto started = environment_.tasks().start([player = player_, result] { *result = player->play(); },
                                            [result, ended](Napi::Env there) mutable {
                                              if (*result) return ended.resolve(there.Undefined());
                                              ended.reject(to_js(there, result->error()).Value());
                                            });
  if (!started) ended.reject(to_js(env, started.error()).Value());
  return ended.promise();
}

void ReplayHandle::stop(const Napi::CallbackInfo& /*info*/) { player_->stop(); }

Napi::Value ReplayHandle::progress(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const replay::Progress now = player_->progress();
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, auto value) { object.Set(name, static_cast<double>(value)); };
  set("read", now.read);
  set("kept", now.kept);
  set("skipped", now.skipped);
  set("truncated", now.truncated);
  set("cut", now.cut);
  set("backwards", now.backwards);
  set("sent", now.sent);
  set("bytes", now.bytes);
  set("unsent", now.unsent);
  set("loops", now.loops);
  set("elapsedNs", now.elapsed_ns);
  set("plannedNs", now.planned_ns);
  set("late50Ns", now.late50_ns);
  set("late90Ns", now.late90_ns);
  set("late99Ns", now.late99_ns);
  set("lateMostNs", now.late_most_ns);
  return object;
}

}  // namespace ringtap::addon
