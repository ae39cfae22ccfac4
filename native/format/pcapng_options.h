// Options of a pcapng block: a list of (code, length, value padded to 4 bytes).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/byte_order.h"
#include "format/pcapng_blocks.h"

namespace ringtap::pcapng {

/// Calls visit(code, value, length) for each option in [at, end). False when the list overruns its block.
template <bool kSwap, class Visit>
bool for_each_option(const std::byte* at, const std::byte* end, Visit&& visit) {
  while (end - at >= 4) {
    const auto code = load<uint16_t, kSwap>(at);
    const auto length = load<uint16_t, kSwap>(at + 2);
    if (code == kEnd) return true;
    at += 4;
    if (static_cast<uint64_t>(end - at) < padded(length)) return false;
    visit(code, at, length);
    at += padded(length);
  }
  return at == end;
}

}  // namespace ringtap::pcapng
