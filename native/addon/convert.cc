#include "addon/convert.h"

#include <algorithm>

#include "addon/errors.h"

namespace ringtap::addon {

namespace {

Napi::Number from_number(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Object from_counts(Napi::Env env, const std::vector<DropCause>& counts) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, count] : counts) {
    object.Set(name, count ? Napi::Value(from_number(env, *count)) : env.Null());
  }
  return object;
}

}  // namespace

std::string text(const Napi::Value& value) { return value.IsString() ? value.As<Napi::String>().Utf8Value() : ""; }
double number(const Napi::Value& value) { return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0; }
bool flag(const Napi::Value& value) { return value.IsBoolean() && value.As<Napi::Boolean>().Value(); }

uint32_t word(const Napi::Value& value) {
  const double given = number(value);
  return given > 0 ? static_cast<uint32_t>(std::min(given, 4294967295.0)) : 0;  // NaN is 0, too
}

Options to_options(const Napi::Value& value) {
  Options options;
  if (!value.IsObject()) return options;
  const auto object = value.As<Napi::Object>();
  // WHY not GetPropertyNames(): it lists what stands in the prototype, too.
  napi_value listed = nullptr;
  constexpr auto kFilter = static_cast<napi_key_filter>(napi_key_enumerable | napi_key_skip_symbols);
  if (napi_get_all_property_names(object.Env(), object, napi_key_own_only, kFilter, napi_key_numbers_to_strings,
                                  &listed) != napi_ok) {
    return options;
  }
  const Napi::Array names(object.Env(), listed);
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = text(names.Get(i));
    const Napi::Value option = object.Get(name);
    if (option.IsBoolean()) {
      options.set(name, flag(option));
    } else if (option.IsNumber()) {
      options.set(name, number(option));
    } else if (option.IsString()) {
      options.set(name, text(option));
    } else if (option.IsArray()) {
      const auto array = option.As<Napi::Array>();
      std::vector<double> list;
      for (uint32_t j = 0; j < array.Length(); j++) list.push_back(number(array.Get(j)));
      options.set(name, std::move(list));
    }
  }
  return options;
}

Purpose to_purpose(const Napi::Value& value) {
  const std::string name = text(value);
  if (name == "explain") return Purpose::kExplain;
  return name == "transmit" ? Purpose::kTransmit : Purpose::kCapture;
}

const char* name_of(FilterPlace place) {
  switch (place) {
    case FilterPlace::kRemote:
      return "remote";
    case FilterPlace::kHardware:
      return "hardware";
    case FilterPlace::kXdp:
      return "xdp";
    case FilterPlace::kXdpLoadBytes:
      return "xdp-load-bytes";
    case FilterPlace::kKernel:
      return "kernel";
    case FilterPlace::kUser:
      return "user";
    case FilterPlace::kNone:
      break;
  }
  return "none";
}

const char* name_of(Readiness::Kind kind) {
  switch (kind) {
    case Readiness::Kind::kFd:
      return "fd";
    case Readiness::Kind::kPoll:
      return "poll";
    case Readiness::Kind::kAlways:
      break;
  }
  return "always";
}

void set_info(Napi::Object& object, const SourceInfo& info, const FilterPlacement& filter) {
  object.Set("linkType", info.link_type);
  object.Set("epochSeconds", static_cast<double>(int64_t{info.epoch_ns / 1'000'000'000}));
  object.Set("epochNanos", static_cast<double>(info.epoch_ns % 1'000'000'000));
  object.Set("snaplen", info.snaplen);
  object.Set("maxLeases", info.max_leases);
  object.Set("copies", info.copies);
  object.Set("mode", info.mode);
  object.Set("timestamp", info.timestamp_source);
  object.Set("notes", from_strings(object.Env(), info.notes));
  object.Set("filterWhere", name_of(filter.where));
  object.Set("filterReason", filter.reason);
}

Program to_program(const Napi::Uint32Array& flat) {
  Program program;
  for (size_t i = 0; i + 3 < flat.ElementLength(); i += 4) {
    program.push_back({static_cast<uint16_t>(flat[i]), static_cast<uint8_t>(flat[i + 1]),
                       static_cast<uint8_t>(flat[i + 2]), flat[i + 3]});
  }
  return program;
}

Napi::Object from_stats(Napi::Env env, const Stats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("received", from_number(env, stats.received));
  object.Set("delivered", from_number(env, stats.delivered));
  object.Set("filtered", from_number(env, stats.filtered));
  object.Set("dropped", from_number(env, stats.dropped));
  object.Set("pending", from_number(env, stats.pending));
  object.Set("joined", from_number(env, stats.joined));
  object.Set("deliveredBytes", from_number(env, stats.delivered_bytes));
  object.Set("drops", from_counts(env, stats.drops));
  object.Set("details", from_counts(env, stats.details));
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
