#include "addon/opening.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "addon/backends.h"
#ifndef _WIN32
#include "addon/connection.h"
#endif
#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "addon/session.h"
#ifdef __linux__
#include "addon/shares.h"
#include "stages/distributor.h"
#endif
#include "libpcap/compile.h"
#include "stages/decap.h"

namespace ringtap::addon {

namespace {

// Past this a batch is no batch any more; TypeScript allows far less.
constexpr double kMostBatch = 1 << 20;

/// What reaches the kernel and libraries as C strings must be the same there as where it was checked.
std::optional<Error> cut_text(const OpenRequest& request) {
  const std::string* option = request.options.cut();
  if (option == nullptr && request.target.find('\0') == std::string::npos) return std::nullopt;
  return Error{.code = option != nullptr ? Code::kBadOption : Code::kBadUri,
               .message = (option != nullptr ? "option " + *option : "the target") + " contains a NUL"};
}

/// An open() on its way: what another thread works on.
struct Opening {
  const Backend& backend;
  OpenRequest request;
  std::shared_ptr<Filter> filter;
  std::optional<Sharing> sharing = {};
  Session::Opened opened = {};
  Shares shares = {};
  std::optional<Error> failure = {};

  void run();

 private:
  std::optional<Error> open();
  std::optional<Error> open_one(TunnelKinds tunnels, uint32_t snaplen);
  std::optional<Error> open_shares(TunnelKinds tunnels, uint32_t snaplen);
  std::optional<Error> prepare(std::unique_ptr<Source>& source, TunnelKinds tunnels, uint32_t snaplen);
  std::optional<Error> given_up() const;
};

void Opening::run() {
  try {
    failure = open();
  } catch (const std::bad_alloc&) {
    failure = Error{.code = Code::kNoMemory, .message = "no memory to open it"};
  } catch (const std::exception& fault) {
    failure = Error{.code = Code::kInternal, .message = std::string("opening failed: ") + fault.what()};
  }
  if (!failure) return;
  // Here, not on the JS thread.
  opened.source.reset();
  shares = {};
}

std::optional<Error> Opening::open() {
  TunnelKinds tunnels = 0;
  if (request.purpose != Purpose::kTransmit && request.options.has("decap")) {
    auto kinds = tunnel_kinds(request.options.text("decap"));
    if (!kinds) return std::move(kinds).error();
    tunnels = *kinds;
  }
  const auto snaplen = static_cast<uint32_t>(request.options.integer("snaplen", kMaxSnaplen));
  // It counts from where the inner packet begins.
  if (tunnels != 0 && snaplen < kMaxSnaplen) {
    request.options.set("snaplen", static_cast<double>(std::min(snaplen + kDecapHeadroom, kMaxSnaplen)));
  }
  return sharing ? open_shares(tunnels, snaplen) : open_one(tunnels, snaplen);
}

std::optional<Error> Opening::open_one(TunnelKinds tunnels, uint32_t snaplen) {
  auto source = backend.open(request);
  if (!source) return std::move(source).error();
  opened.source = *std::move(source);
  if (auto error = prepare(opened.source, tunnels, snaplen)) return error;
  if (auto error = given_up()) return error;
  if (request.purpose == Purpose::kExplain) return std::nullopt;
  auto started = request.purpose == Purpose::kTransmit ? opened.source->start_tx() : opened.source->start();
  if (!started) return std::move(started).error();
  return given_up();
}

/// They are started later, when their readers are there.
std::optional<Error> Opening::open_shares([[maybe_unused]] TunnelKinds tunnels, [[maybe_unused]] uint32_t snaplen) {
#ifdef __linux__
  if (backend.open_shares != nullptr) {
    auto several = backend.open_shares(request, *sharing);
    if (!several) return std::move(several).error();
    shares = *std::move(several);
    for (auto& source : shares.sources) {
      if (auto error = prepare(source, tunnels, snaplen)) return error;
    }
    return given_up();
  }
  auto source = backend.open(request);
  if (!source) return std::move(source).error();
  if (auto error = prepare(*source, tunnels, snaplen)) return error;
  auto several = distribute(*std::move(source), {.sharing = *sharing, .batch_size = opened.batch_size});
  if (!several) return std::move(several).error();
  shares = *std::move(several);
  return given_up();
#else
  return Error{.code = Code::kUnsupported, .message = request.uri + ": packets are shared out on Linux only"};
#endif
}

/// Tunnels are opened, then packets are filtered.
std::optional<Error> Opening::prepare(std::unique_ptr<Source>& source, TunnelKinds tunnels, uint32_t snaplen) {
  if (tunnels != 0) {
    source = make_decap(std::move(source), {.kinds = tunnels,
                                            .drop_others = request.options.text("decapOthers") == "drop",
                                            .snaplen = snaplen,
                                            .batch_size = opened.batch_size});
  }
  if (!filter) return std::nullopt;
  auto placement = source->set_filter(filter);
  if (!placement) return std::move(placement).error();
  opened.filter = *std::move(placement);
  return std::nullopt;
}

std::optional<Error> Opening::given_up() const {
  if (!request.is_cancelled()) return std::nullopt;
  return Error{.code = Code::kClosed, .message = "opening was given up"};
}

/// What a request asks for, or why it cannot be.
Result<std::shared_ptr<Opening>> to_opening(Napi::Env env, const Napi::Object& request) {
  const std::string name = text(request.Get("backend"));
  const Backend* backend = find_backend(name);
  if (backend == nullptr) return missing_backend(name);
  OpenRequest open_request{.uri = text(request.Get("uri")),
                           .target = text(request.Get("target")),
                           .options = to_options(request.Get("options")),
                           .purpose = to_purpose(request.Get("purpose"))};
#ifndef _WIN32
  open_request.connection = ConnectionHandle::of(request.Get("connection"));
#endif
  if (auto cut = cut_text(open_request)) return *std::move(cut);
  open_request.cancelled = Environment::of(env).opening(static_cast<uint32_t>(number(request.Get("number"))));
  std::shared_ptr<Filter> filter;
  const Napi::Value given = request.Get("filter");
  const auto snaplen = static_cast<uint32_t>(open_request.options.integer("snaplen", kMaxSnaplen));
  if (given.IsString()) {
    filter = make_filter(text(given), snaplen, open_request.cancelled);
  } else if (given.IsTypedArray()) {
    filter = make_filter(to_program(given.As<Napi::Uint32Array>()));
  }
  auto opening = std::make_shared<Opening>(
      Opening{.backend = *backend, .request = std::move(open_request), .filter = std::move(filter)});
  opening->opened.uri = opening->request.uri;
  opening->opened.batch_size = static_cast<uint32_t>(std::clamp(number(request.Get("batchSize")), 1.0, kMostBatch));
  opening->opened.external = flag(request.Get("external"));
  return opening;
}

/// Runs on a thread of its own; `done` gives what the promise resolves to.
Napi::Value run(Napi::Env env, const std::shared_ptr<Opening>& opening, Napi::Value (*done)(Napi::Env, Opening&)) {
  Deferred opened(env);
  auto started = Environment::of(env).tasks().start([opening] { opening->run(); },
                                                    [opening, opened, done](Napi::Env there) mutable {
                                                      if (opening->failure) {
                                                        opened.reject(to_js(there, *opening->failure).Value());
                                                        return;
                                                      }
                                                      const Napi::Value made = done(there, *opening);
                                                      if (!made.IsEmpty()) opened.resolve(made);
                                                    });
  if (!started) opened.reject(to_js(env, started.error()).Value());
  return opened.promise();
}

Napi::Value refuse(Napi::Env env, const Error& error) {
  Deferred failed(env);
  failed.reject(to_js(env, error).Value());
  return failed.promise();
}

#ifdef __linux__
constexpr double kMostShares = 256;  // sockets in a fanout group

ShareHash to_hash(const std::string& name) {
  static constexpr std::pair<const char*, ShareHash> kHashes[] = {{"balanced", ShareHash::kBalanced},
                                                                  {"unidirectional", ShareHash::kUnidirectional},
                                                                  {"addresses", ShareHash::kAddresses},
                                                                  {"src", ShareHash::kSource},
                                                                  {"dst", ShareHash::kDestination}};
  const auto* found =
      std::find_if(std::begin(kHashes), std::end(kHashes), [&](const auto& one) { return name == one.first; });
  return found == std::end(kHashes) ? ShareHash::kBidirectional : found->second;
}
#endif

}  // namespace

Napi::Value open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto opening = to_opening(env, info[0].As<Napi::Object>());
  if (!opening) return refuse(env, opening.error());
  return run(env, *opening, [](Napi::Env there, Opening& done) -> Napi::Value {
    return Session::make(there, std::move(done.opened));
  });
}

#ifdef __linux__
Napi::Value open_shares(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto request = info[0].As<Napi::Object>();
  auto opening = to_opening(env, request);
  if (!opening) return refuse(env, opening.error());
  (*opening)->sharing = {.shares = static_cast<uint32_t>(std::clamp(number(request.Get("shares")), 1.0, kMostShares)),
                         .hash = to_hash(text(request.Get("hash")))};
  return run(env, *opening, [](Napi::Env there, Opening& done) -> Napi::Value {
    return SharesHandle::make(there, std::move(done.shares), std::move(done.opened));
  });
}
#endif

void cancel(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).cancel(static_cast<uint32_t>(number(info[0])));
}

}  // namespace ringtap::addon
