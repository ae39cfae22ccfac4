// Between JS values and core's types.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "core/options.h"
#include "core/program.h"
#include "core/source.h"

namespace ringtap::addon {

// WHY not As<String>() and the like: in a worker that is being terminated every call into JS fails, also in the middle
// of one of ours, and using the empty value that it leaves would abort the process. Here that is empty, zero or false.
std::string text(const Napi::Value& value);
double number(const Napi::Value& value);
bool flag(const Napi::Value& value);
/// A number of 32 bits; 0 where there is none, and the nearest to it where it is less or more.
uint32_t word(const Napi::Value& value);

Options to_options(const Napi::Value& value);
/// Of a name in lib/native: kCapture where there is none.
Purpose to_purpose(const Napi::Value& value);

Program to_program(const Napi::Uint32Array& flat);  // code, jt, jf, k, code, jt …
/// As plan.filter says it.
const char* name_of(FilterPlace place);
const char* name_of(Readiness::Kind kind);

/// What is known of an opened source.
void set_info(Napi::Object& object, const SourceInfo& info, const FilterPlacement& filter);

Napi::Object from_stats(Napi::Env env, const Stats& stats);
Napi::Object from_probe(Napi::Env env, const Probe& probe);
Napi::Array from_devices(Napi::Env env, const std::vector<Device>& devices);
Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& strings);

}  // namespace ringtap::addon
