// A protocol that no packet has.
#pragma once

#include <cstdint>

namespace ringtap {

/// An EtherType below 0x600 is a length: a packet socket that is bound to this one receives nothing.
inline constexpr uint16_t kSilentProtocol = 0x05ff;

}  // namespace ringtap
