// What PF_RING's kernel module and library agree on with their clients: numbers and layouts, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "filter/prepend.h"

namespace ringtap::pfring {

/// The socket family, which a kernel without the module does not know.
inline constexpr int kFamily = 27;
/// The layout of the ring that is described here.
inline constexpr uint16_t kSlotVersion = 21;
/// The longest part of a packet that a ring keeps.
inline constexpr uint32_t kMaxCaplen = 65600;
/// The least that we let it keep. WHY: where it puts a VLAN tag back, the module takes 18 from this length without
/// looking, and a negative rest crashes the kernel.
inline constexpr uint32_t kMinCaplen = 64;

/// Socket options, all at level 0. SO_ATTACH_FILTER works at that level, too, and only there.
enum SocketOption : int {
  kAddToCluster = 99,
  kActivate = 106,
  kBucketLength = 107,  // u32: bytes kept of each packet
  kChannelMask = 108,   // u64: one bit a receive queue
  kApplicationName = 110,
  kDirection = 111,  // u32: 0 both, 1 received, 2 sent
  kDeactivate = 116,
  kWatermark = 117,   // u16: packets that make the socket readable
  kSocketMode = 126,  // u32: 0 both, 1 send, 2 receive
  kShortHeader = 127,
  kGetChannels = 174,      // u8
  kGetHeaderLength = 179,  // u16
  kGetInterface = 185,     // in: a name in 32 bytes; out: int
};
inline constexpr size_t kInterfaceNameBytes = 32;
inline constexpr size_t kApplicationNameBytes = 31;
inline constexpr uint32_t kMaxChannels = 64;

struct AddToCluster {
  uint16_t cluster;
  uint16_t queue;
  uint32_t options;
  uint32_t mode;
} __attribute__((packed));
static_assert(sizeof(AddToCluster) == 12);
/// Any place in the cluster that is free.
inline constexpr uint16_t kAnyClusterQueue = 64;

/// The two pages before the slots. The first is the kernel's, the second ours; both are mapped writable.
struct RingHeader {
  uint16_t version;
  uint16_t sample_rate;
  uint32_t min_slots;
  uint32_t slot_length;  // the longest slot
  uint32_t data_length;
  uint64_t total_bytes;  // of the mapping
  uint64_t insert_offset;
  uint64_t kernel_remove_offset;
  uint64_t total_packets;   // that passed the filter, lost ones included
  uint64_t total_lost;      // for want of room
  uint64_t total_inserted;  // written after the slot and after insert_offset
  std::byte reserved[4096 - 64];
  uint64_t total_read;
  uint64_t remove_offset;
  std::byte reserved_too[4096 - 16];
};
static_assert(offsetof(RingHeader, min_slots) == 4);
static_assert(offsetof(RingHeader, slot_length) == 8);
static_assert(offsetof(RingHeader, total_bytes) == 16);
static_assert(offsetof(RingHeader, insert_offset) == 24);
static_assert(offsetof(RingHeader, total_packets) == 40);
static_assert(offsetof(RingHeader, total_lost) == 48);
static_assert(offsetof(RingHeader, total_inserted) == 56);
static_assert(offsetof(RingHeader, total_read) == 4096);
static_assert(offsetof(RingHeader, remove_offset) == 4104);
inline constexpr uint64_t kSlotsAt = 8192;
static_assert(sizeof(RingHeader) == kSlotsAt);

/// What precedes a packet in its slot, in the short form.
struct SlotHeader {
  int64_t seconds;
  int64_t microseconds;  // always the kernel's clock
  uint32_t caplen;
  uint32_t wirelen;
  uint64_t time_ns;  // the NIC's clock if that stamped the packet, else the kernel's
  uint32_t flags;
  uint8_t received;  // 0: sent by this host
  uint8_t port;
  uint16_t device;
  int32_t interface;  // 0 where the module runs in quick mode, which does not know `received`
  uint32_t hash;
};
static_assert(offsetof(SlotHeader, caplen) == 16);
static_assert(offsetof(SlotHeader, wirelen) == 20);
static_assert(offsetof(SlotHeader, time_ns) == 24);
static_assert(offsetof(SlotHeader, flags) == 32);
static_assert(offsetof(SlotHeader, received) == 36);
static_assert(offsetof(SlotHeader, interface) == 40);
static_assert(offsetof(SlotHeader, hash) == 44);
static_assert(sizeof(SlotHeader) == 48);

/// A slot is its header, the packet and two bytes more, rounded up.
constexpr uint32_t slot_bytes(uint32_t caplen) {
  return (static_cast<uint32_t>(sizeof(SlotHeader)) + caplen + 2 + 7) & ~7u;
}

/// The header that the library fills in: the short form, and a rest that is only there if asked for.
struct PacketHeader {
  SlotHeader head;
  std::byte rest[209 - sizeof(SlotHeader)];
} __attribute__((packed));
static_assert(sizeof(PacketHeader) == 209);

/// How a ring is asked for `direction`. WHY never for received packets alone: the module then takes no lock around the
/// ring, and two CPUs write into one slot. The reader leaves out what was sent.
constexpr uint32_t ring_direction(Direction direction) { return direction == Direction::kOut ? 2 : 0; }

struct LibraryStats {
  uint64_t received;  // what this client has read
  uint64_t dropped;
  uint64_t shunted;
};
static_assert(sizeof(LibraryStats) == 24);

struct ZcPacket {
  uint16_t length;
  uint16_t flags;
  uint32_t hash;
  uint32_t seconds;
  uint32_t nanoseconds;
};
static_assert(offsetof(ZcPacket, hash) == 4);
static_assert(offsetof(ZcPacket, seconds) == 8);
static_assert(sizeof(ZcPacket) == 16);

struct ZcStats {
  uint64_t received;
  uint64_t sent;
  uint64_t dropped;
};
static_assert(sizeof(ZcStats) == 24);

enum OpenFlag : uint32_t {
  kPromiscuous = 1 << 3,
  kTimestamp = 1 << 4,
  kHardwareTimestamp = 1 << 5,
};

/// Results of the library's functions.
enum LibraryError : int {
  kErrorInvalidArgument = -2,
  kErrorNoPacket = -3,
  kErrorNotSupported = -7,
  kErrorNotEnabled = -12,
  kErrorBadInterface = -13,
  kErrorNoModule = -14,
};

}  // namespace ringtap::pfring
