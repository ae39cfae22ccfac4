// Errors of core as JS errors. The only place that makes them.
#pragma once

#include <napi.h>

#include <string>

#include "core/error.h"

namespace ringtap::addon {

/// A plain Error with code, hint, syscall, errno and position; lib/errors/errors.ts turns it into a CaptureError.
Napi::Error to_js(Napi::Env env, const Error& error);

/// Throws it as the pending exception.
void raise(Napi::Env env, const Error& error);

}  // namespace ringtap::addon
