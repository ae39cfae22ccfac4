#include "addon/writer.h"

#include <algorithm>
#include <functional>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/errors.h"
#include "addon/session.h"

namespace ringtap::addon {

namespace {

/// Runs one blocking call of a TraceWriter on libuv's pool.
class WriteWorker final : public Napi::AsyncWorker {
 public:
  WriteWorker(Napi::Env env, std::function<Result<Ok>()> task)
      : AsyncWorker(env, "ringtap:write"), task_(std::move(task)), deferred_(env) {}

  static Napi::Value run(Napi::Env env, std::function<Result<Ok>()> task) {
    auto* worker = new WriteWorker(env, std::move(task));
    const Napi::Value promise = worker->deferred_.promise();
    worker->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    auto done = task_();
    if (done) return;
    failure_ = std::move(done).error();
    SetError(failure_.message);
  }
  void OnOK() override { deferred_.resolve(Env().Undefined()); }
  void OnError(const Napi::Error&) override { deferred_.reject(to_js(Env(), failure_).Value()); }

 private:
  std::function<Result<Ok>()> task_;
  Error failure_;
  Deferred deferred_;
};

}  // namespace

Napi::Function Writer::define(Napi::Env env) {
  return DefineClass(env, "Writer",
                     {
                         InstanceMethod<&Writer::append>("append"),
                         InstanceMethod<&Writer::ready>("ready"),
                         InstanceMethod<&Writer::drain>("drain"),
                         InstanceMethod<&Writer::close>("close"),
                         InstanceMethod<&Writer::stats>("stats"),
                     });
}

Napi::Value Writer::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto request = info[0].As<Napi::Object>();
  const std::string format = text(request.Get("format"));
  auto writer = TraceWriter::create({.path = text(request.Get("path")),
                                     .format = format == "pcapng" ? TraceFormat::kPcapng : TraceFormat::kPcap,
                                     .link_type = static_cast<uint32_t>(number(request.Get("linkType"))),
                                     .snaplen = static_cast<uint32_t>(number(request.Get("snaplen"))),
                                     .application = text(request.Get("application")),
                                     .comment = {}});
  if (!writer) {
    raise(env, writer.error());
    return {};
  }
  Napi::Object object = Environment::of(env).writer_constructor.New({});
  Writer* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  made->writer_ = *std::move(writer);
  return object;
}

/// append(session, slot, first, end, generation) → the index of the first packet not taken: drain() and go on from
/// there.
Napi::Value Writer::append(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Session* session = Session::Unwrap(info[0].As<Napi::Object>());
  if (session == nullptr) return {};  // the worker is being terminated
  auto view = session->view(static_cast<uint32_t>(number(info[1])), static_cast<uint32_t>(number(info[4])));
  if (!view) {
    raise(env, Error{.code = Code::kReleased, .message = "write(): the batch was released"});
    return {};
  }
  const auto index = [&](const Napi::Value& value) {
    const double given = number(value);
    return given > 0 ? static_cast<uint32_t>(std::min<double>(given, view->count)) : 0;  // NaN is 0, too
  };
  view->count = index(info[3]);
  auto taken = writer_->append(*view, index(info[2]));
  if (!taken) {
    raise(env, taken.error());
    return {};
  }
  return Napi::Number::New(env, *taken);
}

/// ready() → whether drain() has something to write.
Napi::Value Writer::ready(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), writer_->ready()); }

/// drain(flush) → Promise: writes full buffers; with `flush` the one being filled, too.
Napi::Value Writer::drain(const Napi::CallbackInfo& info) {
  if (flag(info[0])) writer_->flush();
  return WriteWorker::run(info.Env(), [writer = writer_] { return writer->drain(); });
}

/// close(received, dropped) → Promise
Napi::Value Writer::close(const Napi::CallbackInfo& info) {
  if (info[0].IsNumber()) {
    writer_->set_drop_counts(static_cast<uint64_t>(number(info[0])), static_cast<uint64_t>(number(info[1])));
  }
  return WriteWorker::run(info.Env(), [writer = writer_] { return writer->close(); });
}

Napi::Value Writer::stats(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("packets", static_cast<double>(writer_->packets_written()));
  object.Set("bytes", static_cast<double>(writer_->bytes_written()));
  return object;
}

}  // namespace ringtap::addon
