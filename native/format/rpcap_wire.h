// Numbers of rpcap's data connection that its readers and its writers agree on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ringtap::rpcap {

inline constexpr uint8_t kVersion = 0;
inline constexpr uint8_t kPacketType = 7;
inline constexpr uint8_t kStretchType = 110;  // udpstr
// Between two ringtaps that have agreed on it, and nobody else.
inline constexpr uint8_t kSentType = 111;   // how far the daemon is
inline constexpr uint8_t kAskType = 112;    // what the client lacks
inline constexpr uint8_t kTrainType = 113;  // datagrams of udpstr, compressed
inline constexpr size_t kStretchBytes = 8;  // the header of its datagrams
inline constexpr uint16_t kNoneBegins = 0xffff;

}  // namespace ringtap::rpcap
