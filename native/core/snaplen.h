// How many bytes of a packet are kept.
#pragma once

#include <cstdint>

namespace ringtap {

/// The longest packet that is captured or written whole, and an accept length beyond every packet. libpcap's limit, so
/// that its readers take every trace.
inline constexpr uint32_t kMaxSnaplen = 262144;

}  // namespace ringtap
