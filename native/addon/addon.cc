// The module: what lib/native.ts sees.
#include <napi.h>

#include "addon/backends.h"
#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "addon/session.h"
#include "addon/writer.h"
#include "libpcap/compile.h"

namespace ringtap::addon {

namespace {

Error missing_backend(const std::string& name) {
  return Error{.code = Code::kBackendMissing, .message = name + ": this build of ringtap does not have it"};
}

/// Opens a source away from the JS thread: rings take time to map.
class OpenWorker final : public Napi::AsyncWorker {
 public:
  OpenWorker(Napi::Env env, const Backend& backend, OpenRequest request, std::shared_ptr<Filter> filter,
             std::string purpose, uint32_t batch_size, bool external)
      : AsyncWorker(env, "ringtap:open"),
        backend_(backend),
        request_(std::move(request)),
        user_filter_(std::move(filter)),
        purpose_(std::move(purpose)),
        deferred_(env) {
    opened_.batch_size = batch_size;
    opened_.external = external;
  }
  Napi::Value promise() const { return deferred_.promise(); }

 protected:
  void Execute() override {
    if (const auto error = open()) {
      failure_ = *error;
      SetError(failure_.message);
    }
  }

  void OnOK() override {
    const Napi::Object session = Session::make(Env(), std::move(opened_));
    if (!session.IsEmpty()) deferred_.resolve(session);
  }
  void OnError(const Napi::Error&) override { deferred_.reject(to_js(Env(), failure_).Value()); }

 private:
  std::optional<Error> open() {
    auto source = backend_.open(request_);
    if (!source) return std::move(source).error();
    opened_.source = *std::move(source);
    if (user_filter_) {
      auto placement = opened_.source->set_filter(user_filter_);
      if (!placement) return std::move(placement).error();
      opened_.filter = *std::move(placement);
    }
    if (request_.plan_only) return std::nullopt;
    auto started = purpose_ == "transmit" ? opened_.source->start_tx() : opened_.source->start();
    if (!started) return std::move(started).error();
    return std::nullopt;
  }

  const Backend& backend_;
  OpenRequest request_;
  std::shared_ptr<Filter> user_filter_;
  std::string purpose_;
  Session::Opened opened_;
  Error failure_;
  Deferred deferred_;
};

/// open({number, backend, uri, target, options, filter, purpose, batchSize, external}) → Promise<Session>
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
                           .options = to_options(request.Get("options"))};
  const std::string purpose = text(request.Get("purpose"));
  open_request.plan_only = purpose == "explain";
  open_request.cancelled = Environment::of(env).opening(static_cast<uint32_t>(number(request.Get("number"))));
  std::shared_ptr<Filter> filter;
  const Napi::Value given = request.Get("filter");
  const auto snaplen = static_cast<uint32_t>(open_request.options.integer("snaplen", 262144));
  if (given.IsString()) {
    filter = make_filter(text(given), snaplen, open_request.cancelled);
  } else if (given.IsTypedArray()) {
    filter = make_filter(to_program(given.As<Napi::Uint32Array>()));
  }
  auto* worker = new OpenWorker(env, *backend, std::move(open_request), std::move(filter), purpose,
                                static_cast<uint32_t>(number(request.Get("batchSize"))), flag(request.Get("external")));
  const Napi::Value promise = worker->promise();
  worker->Queue();
  return promise;
}

/// cancel(number): nobody waits for that open() any more.
void cancel(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).cancel(static_cast<uint32_t>(number(info[0])));
}

/// probe(name) → {available, detail, error?}
Napi::Value probe(const Napi::CallbackInfo& info) {
  const std::string name = text(info[0]);
  const Backend* backend = find_backend(name);
  if (backend == nullptr) return from_probe(info.Env(), {.available = false, .error = missing_backend(name)});
  return from_probe(info.Env(), backend->probe());
}

/// devices(name) → [{target, description, up, loopback}]
Napi::Value devices(const Napi::CallbackInfo& info) {
  const Backend* backend = find_backend(text(info[0]));
  return from_devices(info.Env(), backend != nullptr ? backend->devices() : std::vector<Device>{});
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  Environment& environment = Environment::of(env);
  environment.session_constructor = Napi::Persistent(Session::define(env));
  environment.writer_constructor = Napi::Persistent(Writer::define(env));
  exports.Set("open", Napi::Function::New<open>(env));
  exports.Set("cancel", Napi::Function::New<cancel>(env));
  exports.Set("next", Napi::Function::New<Session::next>(env));
  exports.Set("wait", Napi::Function::New<Session::wait>(env));
  exports.Set("openWriter", Napi::Function::New<Writer::open>(env));
  exports.Set("probe", Napi::Function::New<probe>(env));
  exports.Set("devices", Napi::Function::New<devices>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(ringtap, init)

}  // namespace ringtap::addon
