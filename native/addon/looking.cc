#include "addon/looking.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "addon/backends.h"
#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "backends/file/indexing.h"

namespace ringtap::addon {

namespace {

/// What `ask` answers on another thread, turned into a value by `convert`. WHY: to look for libraries and devices reads
/// files and asks the kernel.
template <class Ask, class Convert>
Napi::Value answer(Napi::Env env, Ask ask, Convert convert) {
  using Answer = decltype(ask());
  auto given = std::make_shared<std::optional<Answer>>();
  Deferred answered(env);
  const auto look = [given, ask] {
    try {
      *given = ask();
    } catch (const std::exception&) {
      given->reset();
    }
  };
  auto settle = [given, convert, answered](Napi::Env there) mutable {
    if (*given) return answered.resolve(convert(there, **given));
    answered.reject(to_js(there, Error{.code = Code::kNoMemory, .message = "no memory to look around"}).Value());
  };
  if (!Environment::of(env).tasks().start(look, settle)) {
    look();
    settle(env);
  }
  return answered.promise();
}

}  // namespace

Napi::Value probe(const Napi::CallbackInfo& info) {
  const auto ask = [name = text(info[0])]() -> Probe {
    const Backend* backend = find_backend(name);
    return backend != nullptr ? backend->probe() : Probe{.available = false, .error = missing_backend(name)};
  };
  return answer(info.Env(), ask, from_probe);
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  const auto ask = [backend = find_backend(text(info[0]))] {
    return backend != nullptr ? backend->devices() : std::vector<Device>{};
  };
  return answer(info.Env(), ask, from_devices);
}

Napi::Value index_of(const Napi::CallbackInfo& info) {
  const auto ask = [path = text(info[0])] { return index_trace(path, nullptr); };
  const auto convert = [](Napi::Env env, const Result<IndexFacts>& made) -> Napi::Value {
    if (!made) return to_js(env, made.error()).Value();
    Napi::Object object = Napi::Object::New(env);
    object.Set("path", made->path);
    object.Set("packets", static_cast<double>(made->packets));
    object.Set("sections", static_cast<double>(made->sections));
    return object;
  };
  return answer(info.Env(), ask, convert);
}

}  // namespace ringtap::addon
