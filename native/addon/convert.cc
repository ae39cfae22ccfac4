#include "addon/convert.h"

#include "addon/errors.h"

namespace ringtap::addon {

namespace {

Napi::Number number(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

}  // namespace

Options to_options(const Napi::Object& object) {
  Options options;
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Napi::Value value = object.Get(name);
    if (value.IsBoolean()) {
      options.set(name, value.As<Napi::Boolean>().Value());
    } else if (value.IsNumber()) {
      options.set(name, value.As<Napi::Number>().DoubleValue());
    } else if (value.IsString()) {
      options.set(name, value.As<Napi::String>().Utf8Value());
    } else if (value.IsArray()) {
      const auto array = value.As<Napi::Array>();
      std::vector<double> list;
      for (uint32_t j = 0; j < array.Length(); j++) list.push_back(array.Get(j).ToNumber().DoubleValue());
      options.set(name, std::move(list));
    }
  }
  return options;
}

Program to_program(const Napi::Uint32Array& flat) {
  Program program;
  for (size_t i = 0; i + 3 < flat.ElementLength(); i += 4) {
    program.push_back({static_cast<uint16_t>(flat[i]), static_cast<uint8_t>(flat[i + 1]),
                       static_cast<uint8_t>(flat[i + 2]), flat[i + 3]});
  }
  return program;
}

Napi::Uint32Array from_program(Napi::Env env, const Program& program) {
  Napi::Uint32Array flat = Napi::Uint32Array::New(env, program.size() * 4);
  for (size_t i = 0; i < program.size(); i++) {
    flat[i * 4] = program[i].code;
    flat[i * 4 + 1] = program[i].jt;
    flat[i * 4 + 2] = program[i].jf;
    flat[i * 4 + 3] = program[i].k;
  }
  return flat;
}

Napi::Object from_stats(Napi::Env env, const Stats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("received", number(env, stats.received));
  object.Set("delivered", number(env, stats.delivered));
  object.Set("filtered", number(env, stats.filtered));
  object.Set("dropped", number(env, stats.dropped));
  object.Set("pending", number(env, stats.pending));
  object.Set("deliveredBytes", number(env, stats.delivered_bytes));
  Napi::Object drops = Napi::Object::New(env);
  for (const DropCause& cause : stats.drops) {
    drops.Set(cause.name, cause.count ? Napi::Value(number(env, *cause.count)) : env.Undefined());
  }
  object.Set("drops", drops);
  return object;
}

Napi::Object from_probe(Napi::Env env, const Probe& probe) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("available", Napi::Boolean::New(env, probe.available));
  object.Set("detail", Napi::String::New(env, probe.detail));
  if (probe.error) object.Set("error", to_js(env, *probe.error).Value());
  return object;
}

Napi::Array from_devices(Napi::Env env, const std::vector<Device>& devices) {
  Napi::Array array = Napi::Array::New(env, devices.size());
  for (uint32_t i = 0; i < devices.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("target", devices[i].target);
    object.Set("description", devices[i].description);
    object.Set("up", devices[i].up);
    object.Set("loopback", devices[i].loopback);
    array.Set(i, object);
  }
  return array;
}

Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& strings) {
  Napi::Array array = Napi::Array::New(env, strings.size());
  for (uint32_t i = 0; i < strings.size(); i++) array.Set(i, Napi::String::New(env, strings[i]));
  return array;
}

}  // namespace ringtap::addon
