// Numbers of the pcapng format, shared by reader and writer.
#pragma once

#include <cstdint>

namespace ringtap::pcapng {

enum Block : uint32_t {
  kInterface = 1,
  kObsoletePacket = 2,
  kSimplePacket = 3,
  kNames = 4,
  kStatistics = 5,
  kEnhancedPacket = 6,
  kSecrets = 10,
  kSection = 0x0a0d0d0a,  // the same in both byte orders
};

enum Option : uint16_t {
  kEnd = 0,
  kComment = 1,
  kSectionHardware = 2,
  kSectionOs = 3,
  kSectionApplication = 4,
  kInterfaceName = 2,
  kInterfaceDescription = 3,
  kInterfaceSpeed = 8,
  kInterfaceResolution = 9,
  kInterfaceFilter = 11,
  kInterfaceOffset = 14,
  kPacketFlags = 2,
  kPacketDrops = 4,
  kPacketId = 5,
  kPacketQueue = 6,
  kStatisticsStart = 2,
  kStatisticsEnd = 3,
  kStatisticsReceived = 4,
  kStatisticsDropped = 5,
  kCustomText = 2988,  // copied along; a number of who defines it, and text
  kCustomBytes = 2989,
  kCustomTextNotCopied = 19372,
  kCustomBytesNotCopied = 19373,
};

inline constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
inline constexpr uint32_t kExampleEnterprise = 32473;  // RFC 5612: nobody's own
inline constexpr uint32_t kInbound = 1;
inline constexpr uint32_t kOutbound = 2;  // in the low two bits of kPacketFlags

inline constexpr uint32_t kSectionBytes = 28;  // the shortest block of each type
inline constexpr uint32_t kInterfaceBytes = 20;
inline constexpr uint32_t kEnhancedBytes = 32;
inline constexpr uint32_t kSimpleBytes = 16;
inline constexpr uint32_t kAnyBytes = 12;

constexpr uint64_t padded(uint64_t bytes) noexcept { return (bytes + 3) & ~uint64_t{3}; }

}  // namespace ringtap::pcapng
