// Opening a session, on a thread of its own.
#pragma once

#include <napi.h>

namespace ringtap::addon {

/// open({number, backend, uri, target, options, filter, purpose, batchSize, external}) → Promise<Session>
Napi::Value open(const Napi::CallbackInfo& info);

#ifdef __linux__
/// openShares({shares, hash, … as of open()}) → Promise<Shares>
Napi::Value open_shares(const Napi::CallbackInfo& info);
#endif

/// cancel(number): nobody waits for that open() any more.
void cancel(const Napi::CallbackInfo& info);

}  // namespace ringtap::addon
