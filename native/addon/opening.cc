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
  Session::Opened opened = {};
  std::optional<Error> failure = {};

  void run();

 private:
  std::optional<Error> open();
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
  if (failure) opened.source.reset();  // here, not on the JS thread
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
  auto source = backend.open(request);
  if (!source) return std::move(source).error();
  opened.source = *std::move(source);
  if (tunnels != 0) {
    opened.source = make_decap(std::move(opened.source), {.kinds = tunnels,
                                                          .drop_others = request.options.text("decapOthers") == "drop",
                                                          .snaplen = snaplen,
                                                          .batch_size = opened.batch_size});
  }
  if (filter) {
    auto placement = opened.source->set_filter(filter);
    if (!placement) return std::move(placement).error();
    opened.filter = *std::move(placement);
  }
  if (auto error = given_up()) return error;
  if (request.purpose == Purpose::kExplain) return std::nullopt;
  auto started = request.purpose == Purpose::kTransmit ? opened.source->start_tx() : opened.source->start();
  if (!started) return std::move(started).error();
  return given_up();
}

std::optional<Error> Opening::given_up() const {
  if (!request.is_cancelled()) return std::nullopt;
  return Error{.code = Code::kClosed, .message = "opening was given up"};
}

}  // namespace

Napi::Value open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto request = info[0].As<Napi::Object>();
  const std::string name = text(request.Get("backend"));
  const Backend* backend = find_backend(name);
  if (backend == nullptr) {
    Deferred failed(env);
    failed.reject(to_js(env, missing_backend(name)).Value());
    return failed.promise();
  }
  OpenRequest open_request{.uri = text(request.Get("uri")),
                           .target = text(request.Get("target")),
                           .options = to_options(request.Get("options")),
                           .purpose = to_purpose(request.Get("purpose"))};
#ifndef _WIN32
  open_request.connection = ConnectionHandle::of(request.Get("connection"));
#endif
  if (const auto cut = cut_text(open_request)) {
    Deferred failed(env);
    failed.reject(to_js(env, *cut).Value());
    return failed.promise();
  }
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
  Deferred opened(env);
  auto started = Environment::of(env).tasks().start([opening] { opening->run(); },
                                                    [opening, opened](Napi::Env there) mutable {
                                                      if (opening->failure) {
                                                        opened.reject(to_js(there, *opening->failure).Value());
                                                        return;
                                                      }
                                                      const auto session =
                                                          Session::make(there, std::move(opening->opened));
                                                      if (!session.IsEmpty()) opened.resolve(session);
                                                    });
  if (!started) opened.reject(to_js(env, started.error()).Value());
  return opened.promise();
}

void cancel(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).cancel(static_cast<uint32_t>(number(info[0])));
}

}  // namespace ringtap::addon
