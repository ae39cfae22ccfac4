// Headers of a batch as columns, for JavaScript.
#pragma once

#include <napi.h>

namespace ringtap::addon {

/// decode(session, slot, generation, columns, capacity) → the packets decoded of what the slot lends in this
/// generation, or kReleased or kNoColumns.
Napi::Value decode_lent(const Napi::CallbackInfo& call);

/// decodeOwned(bytes, offset, caplen, wirelen, flags, vlan, linkType, count, columns, capacity): the same with packets
/// in memory of JavaScript's own, as many of them as all arrays have.
Napi::Value decode_owned(const Napi::CallbackInfo& call);

}  // namespace ringtap::addon
