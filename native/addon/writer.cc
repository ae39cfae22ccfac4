#include "addon/writer.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/errors.h"
#include "addon/session.h"

namespace ringtap::addon {

namespace {

// Results of append() that are not an index; lib/native/native.ts knows them, too.
constexpr double kAllTaken = -1;
constexpr double kReleased = -2;

/// How long the end of a process or worker waits for a slow disk.
constexpr std::chrono::seconds kPatience{2};

/// The elements of a property that is to be a typed array; none where it is not, or has other elements.
template <class T>
std::span<const T> elements(const Napi::Object& object, const char* name) {
  constexpr napi_typedarray_type kWanted = std::is_same_v<T, double>     ? napi_float64_array
                                           : std::is_same_v<T, uint32_t> ? napi_uint32_array
                                                                         : napi_uint8_array;
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(object.Env(), object.Get(name), &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != kWanted) {
    return {};
  }
  return {static_cast<const T*>(data), length};
}

/// A batch that JS owns: as long as the shortest of its arrays.
BatchView view_of(const Napi::Object& batch) {
  const auto time = elements<double>(batch, "time");
  const auto rest = elements<double>(batch, "rest");
  const auto offset = elements<uint32_t>(batch, "offset");
  const auto caplen = elements<uint32_t>(batch, "caplen");
  const auto wirelen = elements<uint32_t>(batch, "wirelen");
  const auto flags = elements<uint32_t>(batch, "flags");
  const auto bytes = elements<std::byte>(batch, "bytes");
  const size_t count = std::min({time.size(), rest.size(), offset.size(), caplen.size(), wirelen.size(), flags.size()});
  BatchView view;
  view.time = time.data();
  view.rest = rest.data();
  view.offset = offset.data();
  view.caplen = caplen.data();
  view.wirelen = wirelen.data();
  view.flags = flags.data();
  view.count = static_cast<uint32_t>(std::min<size_t>(count, UINT32_MAX));
  view.segment = bytes.data();
  view.segment_bytes = bytes.size();
  view.link_type = static_cast<uint32_t>(number(batch.Get("linkType")));
  return view;
}

}  // namespace

Napi::Function Writer::define(Napi::Env env) {
  return DefineClass(env, "Writer",
                     {
                         InstanceMethod<&Writer::tried>("tried"),
                         InstanceMethod<&Writer::is_open>("isOpen"),
                         InstanceMethod<&Writer::append>("append"),
                         InstanceMethod<&Writer::append_copy>("appendCopy"),
                         InstanceMethod<&Writer::room>("room"),
                         InstanceMethod<&Writer::flush>("flush"),
                         InstanceMethod<&Writer::close>("close"),
                         InstanceMethod<&Writer::give_up>("giveUp"),
                         InstanceMethod<&Writer::stats>("stats"),
                     });
}

Napi::Value Writer::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Environment& environment = Environment::of(env);
  Napi::Object object = environment.writer_constructor.New({});
  Writer* made = object.IsEmpty() ? nullptr : Unwrap(object);
  if (made == nullptr) return {};  // the worker is being terminated
  const auto request = info[0].As<Napi::Object>();
  const Napi::Value link_type = request.Get("linkType");
  const std::string format = text(request.Get("format"));
  auto writer = TraceWriter::create(
      {.path = text(request.Get("path")),
       .format = format == "pcapng" ? TraceFormat::kPcapng : TraceFormat::kPcap,
       .link_type = link_type.IsNumber() ? std::optional(static_cast<uint32_t>(number(link_type))) : std::nullopt,
       .snaplen = static_cast<uint32_t>(number(request.Get("snaplen"))),
       .delay = std::chrono::milliseconds(static_cast<int64_t>(number(request.Get("delayMs")))),
       .application = text(request.Get("application"))});
  if (!writer) {
    raise(env, writer.error());
    return {};
  }
  // WHY weakly: a writer that was collected, and is not done yet, has last words, too.
  const uint32_t last_words = environment.at_exit([weak = (*writer)->weak_from_this()] {
    if (const auto leaving = weak.lock()) leaving->leave(kPatience);
  });
  (*writer)->when_ended([mailbox = environment.mailbox(), last_words](const Result<Ok>&) {
    mailbox->post([last_words](Napi::Env there) { Environment::of(there).forget(last_words); });
  });
  made->writer_ = *std::move(writer);
  return object;
}

/// A promise for what the writer answers. It keeps the event loop alive.
Napi::Value Writer::promise(Napi::Env env, const std::function<void(TraceWriter::Done)>& ask) {
  const auto deferred = std::make_shared<Deferred>(env);
  const auto& mailbox = Environment::of(env).mailbox();
  mailbox->hold();
  ask([mailbox, deferred](const Result<Ok>& outcome) {
    mailbox->post([mailbox, deferred, outcome](Napi::Env there) {
      mailbox->release();
      if (outcome) {
        deferred->resolve(there.Undefined());
      } else {
        deferred->reject(to_js(there, outcome.error()).Value());
      }
    });
  });
  return deferred->promise();
}

/// tried() → Promise: when the file is open, or turned out to be a named pipe that nobody reads yet.
Napi::Value Writer::tried(const Napi::CallbackInfo& info) {
  return promise(info.Env(), [this](TraceWriter::Done done) { writer_->when_tried(std::move(done)); });
}

Napi::Value Writer::is_open(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), writer_->is_open());
}

/// append(first, end, session, slot, generation) → kAllTaken, kReleased, or the index of the first packet not taken: go
/// on from there when there is room().
Napi::Value Writer::append(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Session* session = Session::Unwrap(info[2].As<Napi::Object>());
  if (session == nullptr) return {};  // the worker is being terminated
  const auto view = session->view(static_cast<uint32_t>(number(info[3])), static_cast<uint32_t>(number(info[4])));
  if (!view) return Napi::Number::New(env, kReleased);
  return append_view(env, *view, info[0], info[1]);
}

/// appendCopy(first, end, batch, epochSeconds, epochNanos): the same with packets that JS owns.
Napi::Value Writer::append_copy(const Napi::CallbackInfo& info) {
  BatchView view = view_of(info[2].As<Napi::Object>());
  if (number(info[1]) > view.count)
    return Napi::Number::New(info.Env(), kReleased);  // its arrays were transferred away
  view.epoch_ns = static_cast<int64_t>(number(info[3])) * 1'000'000'000 + static_cast<int64_t>(number(info[4]));
  return append_view(info.Env(), view, info[0], info[1]);
}

Napi::Value Writer::append_view(Napi::Env env, BatchView view, const Napi::Value& first, const Napi::Value& end) {
  const auto index = [&](const Napi::Value& value) {
    const double given = number(value);
    return given > 0 ? static_cast<uint32_t>(std::min<double>(given, view.count)) : 0;  // NaN is 0, too
  };
  view.count = index(end);
  auto taken = writer_->append(view, index(first));
  if (!taken) {
    raise(env, taken.error());
    return {};
  }
  return Napi::Number::New(env, *taken < view.count ? static_cast<double>(*taken) : kAllTaken);
}

/// room() → Promise: when append() may take more.
Napi::Value Writer::room(const Napi::CallbackInfo& info) {
  return promise(info.Env(), [this](TraceWriter::Done done) { writer_->when_room(std::move(done)); });
}

/// flush() → Promise: when all that was taken has reached the file.
Napi::Value Writer::flush(const Napi::CallbackInfo& info) {
  return promise(info.Env(), [this](TraceWriter::Done done) { writer_->flush(std::move(done)); });
}

/// close(received, dropped) → Promise
Napi::Value Writer::close(const Napi::CallbackInfo& info) {
  if (info[0].IsNumber()) {
    writer_->set_drop_counts(static_cast<uint64_t>(number(info[0])), static_cast<uint64_t>(number(info[1])));
  }
  return promise(info.Env(), [this](TraceWriter::Done done) { writer_->close(std::move(done)); });
}

/// giveUp(): closes, but waits for no reader any more. Returns at once.
void Writer::give_up(const Napi::CallbackInfo&) { writer_->leave({}); }

Napi::Value Writer::stats(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("packets", static_cast<double>(writer_->packets_written()));
  object.Set("bytes", static_cast<double>(writer_->bytes_written()));
  return object;
}

}  // namespace ringtap::addon
