// Between JS values and core's types.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "core/options.h"
#include "core/program.h"
#include "core/source.h"

namespace ringtap::addon {

Options to_options(const Napi::Object& object);
Program to_program(const Napi::Uint32Array& flat);  // code, jt, jf, k, code, jt …
Napi::Uint32Array from_program(Napi::Env env, const Program& program);
Napi::Object from_stats(Napi::Env env, const Stats& stats);
Napi::Object from_probe(Napi::Env env, const Probe& probe);
Napi::Array from_devices(Napi::Env env, const std::vector<Device>& devices);
Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& strings);

}  // namespace ringtap::addon
