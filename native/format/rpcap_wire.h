// Numbers of rpcap's data connection that its readers and its writers agree on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ringtap::rpcap {

inline constexpr uint8_t kVersion = 0;
inline constexpr uint8_t kPacketType = 7;
inline constexpr uint8_t kStretchType = 110;  // udpstr
inline constexpr size_t kStretchBytes = 8;    // the header of its datagrams
inline constexpr uint16_t kNoneBegins = 0xffff;

}  // namespace ringtap::rpcap
