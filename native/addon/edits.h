// What frames are changed to, as JavaScript gives it.
#pragma once

#include <napi.h>

#include <optional>

#include "rewrite/edits.h"

namespace ringtap::addon {

/// 6 bytes; nothing for anything else.
std::optional<rewrite::Mac> mac_of(const Napi::Value& value);
/// 4 or 16 bytes of address and the number of bits, as lib/transmit makes them; nothing for anything else.
std::optional<rewrite::Network> network_of(const Napi::Value& value);
/// None where it is no object.
rewrite::Edits to_edits(const Napi::Value& value);

}  // namespace ringtap::addon
