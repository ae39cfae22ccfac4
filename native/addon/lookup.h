// The addresses of a host.
#pragma once

#include <napi.h>

namespace ringtap::addon {

/// lookup(name) → Promise<string[]>: its addresses in numbers, in the order in which to try them. WHY not Node's: four
/// look-ups that wait for a name server stop the file system of the whole process, for they stand on libuv's pool.
Napi::Value lookup(const Napi::CallbackInfo& info);

}  // namespace ringtap::addon
