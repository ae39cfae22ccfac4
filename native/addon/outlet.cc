#include "addon/outlet.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/elements.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "serve/trains.h"

namespace ringtap::addon {

namespace {

// Results of put() that are not an index; lib/native/native.ts knows them, too.
constexpr double kAllTaken = -1;
constexpr double kReleased = -2;

rpcap::Token token_of(const Napi::Value& value) {
  rpcap::Token token{};
  const auto given = elements<std::byte>(value);
  std::copy_n(given.begin(), std::min(given.size(), token.size()), token.begin());
  return token;
}

/// A time that a double holds to a few hundred ns; none is `otherwise`.
uint64_t unix_ns(const Napi::Value& value, uint64_t otherwise) {
  constexpr double kMost = 9e18;
  if (!value.IsNumber()) return otherwise;
  const double given = number(value);
  return given > 0 ? static_cast<uint64_t>(std::min(given, kMost)) : 0;
}

}  // namespace

Napi::Function OutletHandle::define(Napi::Env env) {
  return DefineClass(env, "Outlet",
                     {
                         InstanceMethod<&OutletHandle::put>("put"),
                         InstanceMethod<&OutletHandle::written>("written"),
                         InstanceMethod<&OutletHandle::flush>("flush"),
                         InstanceMethod<&OutletHandle::has_more>("hasMore"),
                         InstanceMethod<&OutletHandle::attend>("attend"),
                         InstanceMethod<&OutletHandle::set_filter>("setFilter"),
                         InstanceMethod<&OutletHandle::set_sampling>("setSampling"),
                         InstanceMethod<&OutletHandle::set_own>("setOwn"),
                         InstanceMethod<&OutletHandle::port>("port"),
                         InstanceMethod<&OutletHandle::stats>("stats"),
                         InstanceMethod<&OutletHandle::close>("close"),
                     });
}

Napi::Value OutletHandle::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Environment::of(env).outlet_constructor.New({});
  OutletHandle* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  const auto request = info[0].As<Napi::Object>();
  const uint32_t snaplen = std::clamp<uint32_t>(word(request.Get("snaplen")), 1, kMaxSnaplen);
  if (!flag(request.Get("datagrams"))) {
    // Where none are made: whether they could be.
    if (flag(request.Get("trains"))) {
      if (auto trains = Trains::make(rpcap::kMostDatagram); !trains) {
        raise(env, trains.error());
        return {};
      }
    }
    auto stream = std::make_unique<StreamOutlet>(snaplen);
    made->stream_ = stream.get();
    made->outlet_ = std::move(stream);
    return object;
  }
  auto outlet = datagram_outlet({.local = text(request.Get("local")),
                                 .peer = text(request.Get("peer")),
                                 .port = static_cast<uint16_t>(word(request.Get("port"))),
                                 .datagram_bytes = word(request.Get("datagramBytes")),
                                 .buffer_bytes = static_cast<int64_t>(word(request.Get("bufferBytes"))),
                                 .snaplen = snaplen,
                                 .again_bytes = word(request.Get("againBytes")),
                                 .token = token_of(request.Get("token")),
                                 .trains = flag(request.Get("trains"))});
  if (!outlet) {
    raise(env, outlet.error());
    return {};
  }
  made->outlet_ = *std::move(outlet);
  return object;
}

/// put(session, slot, generation, first, waits, since, until, into) → kAllTaken, kReleased, or how many packets of the
/// batch it is done with: go on from there. `into`: of a stream, where to write.
Napi::Value OutletHandle::put(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!outlet_) return Napi::Number::New(env, kAllTaken);
  const Session* session = Session::find(env, word(info[0]));
  const auto view = session == nullptr ? std::nullopt : session->view(word(info[1]), word(info[2]));
  if (!view) return Napi::Number::New(env, kReleased);
  if (stream_ != nullptr) {
    const auto memory = elements<std::byte>(info[7]);
    // SAFETY: it is JS's, made to be written to, and nothing of JS runs before put() is done with it.
    stream_->into({const_cast<std::byte*>(memory.data()), memory.size()});
  }
  const Window window{.since_ns = unix_ns(info[5], 0),
                      .until_ns = unix_ns(info[6], std::numeric_limits<uint64_t>::max())};
  const uint32_t done = outlet_->put(*view, word(info[3]), window, flag(info[4]) ? NoRoom::kWaits : NoRoom::kDropped);
  return Napi::Number::New(env, done < view->count ? static_cast<double>(done) : kAllTaken);
}

/// written(): bytes that the last put() has written to its memory.
Napi::Value OutletHandle::written(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), stream_ == nullptr ? 0 : static_cast<double>(stream_->written()));
}

/// flush(): false, the socket takes nothing now.
Napi::Value OutletHandle::flush(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !outlet_ || outlet_->flush());
}

Napi::Value OutletHandle::has_more(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), outlet_ && outlet_->has_more());
}

/// attend(): whether it makes sense to call it again soon.
Napi::Value OutletHandle::attend(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), outlet_ && outlet_->attend());
}

/// setFilter(program): code, jt, jf, k of each instruction; none of them keeps all.
void OutletHandle::set_filter(const Napi::CallbackInfo& info) {
  if (!outlet_) return;
  const auto flat = elements<uint32_t>(info[0]);
  Program program;
  for (size_t i = 0; i + 3 < flat.size(); i += 4) {
    program.push_back({.code = static_cast<uint16_t>(flat[i]),
                       .jt = static_cast<uint8_t>(flat[i + 1]),
                       .jf = static_cast<uint8_t>(flat[i + 2]),
                       .k = flat[i + 3]});
  }
  if (auto set = outlet_->choice().set_filter(program); !set) raise(info.Env(), set.error());
}

/// setSampling(method, value): as rpcap numbers the methods.
void OutletHandle::set_sampling(const Napi::CallbackInfo& info) {
  if (!outlet_) return;
  const uint32_t method = word(info[0]);
  outlet_->choice().set_sampling({.method = method == 1   ? Sampling::Method::kOneOfEvery
                                            : method == 2 ? Sampling::Method::kFirstAfterMs
                                                          : Sampling::Method::kNone,
                                  .value = word(info[1])});
}

/// setOwn(connections): packets of these are left out, as OwnTraffic::set() reads them.
void OutletHandle::set_own(const Napi::CallbackInfo& info) {
  if (outlet_) outlet_->choice().set_own(elements<std::byte>(info[0]));
}

/// port(): that datagrams leave from, or 0.
Napi::Value OutletHandle::port(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), outlet_ ? outlet_->port() : 0);
}

Napi::Value OutletHandle::stats(const Napi::CallbackInfo& info) {
  const Outlet::Counts counts = outlet_ ? outlet_->counts() : counts_;
  const Choice::Counts& chosen = outlet_ ? outlet_->choice().counts() : chosen_;
  Napi::Object object = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { object.Set(name, static_cast<double>(value)); };
  set("looked", chosen.looked);
  set("outside", chosen.outside);
  set("filtered", chosen.filtered);
  set("own", chosen.own);
  set("sampled", chosen.sampled);
  set("damaged", chosen.damaged);
  set("sent", counts.sent);
  set("dropped", counts.dropped);
  set("lost", counts.lost);
  set("datagrams", counts.datagrams);
  set("bytes", counts.bytes);
  set("again", counts.again);
  return object;
}

/// close(): the socket and the memory, at once; the counters stay. WHY not by the collector: it knows of neither, and
/// clients come and go for days without a collection.
void OutletHandle::close(const Napi::CallbackInfo&) {
  if (!outlet_) return;
  counts_ = outlet_->counts();
  chosen_ = outlet_->choice().counts();
  stream_ = nullptr;
  outlet_.reset();
}

}  // namespace ringtap::addon
