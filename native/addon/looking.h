// What the host can do, asked on another thread.
#pragma once

#include <napi.h>

namespace ringtap::addon {

/// probe(name) → Promise<{available, detail, error?}>
Napi::Value probe(const Napi::CallbackInfo& info);

/// devices(name) → Promise<[{target, description, up, loopback}]>
Napi::Value devices(const Napi::CallbackInfo& info);

/// indexTrace(path) → Promise<{path, packets, sections}>
Napi::Value index_of(const Napi::CallbackInfo& info);

}  // namespace ringtap::addon
