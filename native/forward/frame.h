// An Ethernet frame on its way, and what its headers say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "forward/address.h"

namespace ringtap::forward {

/// What a sender has left to be done to a frame: its checksum, or cutting it into segments. As of a virtio header.
struct Offload {
  static constexpr uint8_t kNeedsSum = 1;

  uint8_t flags = 0;
  uint8_t kind = 0;  // of the segments; 0: it is one
  uint16_t header_bytes = 0;
  uint16_t segment_bytes = 0;
  uint16_t sum_start = 0;
  uint16_t sum_offset = 0;

  bool is_partial() const noexcept { return (flags & kNeedsSum) != 0; }
  bool is_aggregate() const noexcept { return kind != 0; }
};

/// Bytes that may be written in front of a received frame.
inline constexpr uint32_t kHeadroom = 64;

/// A frame in memory of somebody else, VLAN tags in their place.
struct Frame {
  std::byte* data = nullptr;
  uint32_t length = 0;
  Offload offload = {};
  int64_t time_ns = 0;        // Unix time of its arrival
  bool is_forwarded = false;  // it is a packet of a rule, or a part of one, as it is sent on

  std::span<std::byte> bytes() const noexcept { return {data, length}; }
};

namespace protocol {
inline constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kDccp = 33, kIcmp6 = 58, kUdpLite = 136;
}

inline constexpr uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherIpv6 = 0x86dd;
inline constexpr uint32_t kEthernetBytes = 14;
inline constexpr uint32_t kMostTagBytes = 8;

/// The link header: up to two VLAN tags.
struct Link {
  uint32_t network = 0;  // where what it carries begins
  uint16_t type = 0;     // of that
  uint32_t tag_bytes() const noexcept { return network - kEthernetBytes; }
};
std::optional<Link> read_link(std::span<const std::byte> frame) noexcept;

/// The network header of a packet, or of the beginning of one that an ICMP error quotes.
struct Network {
  bool v6 = false;
  bool is_fragment = false;
  bool is_first = true;       // of its fragments: the transport header is there
  bool more = false;          // fragments follow
  bool dont_fragment = true;  // IPv6: always
  uint8_t protocol = 0;
  uint8_t ttl = 0;
  uint32_t start = 0;      // where it begins in its frame,
  uint32_t transport = 0;  // where it and its extensions end,
  uint32_t end = 0;        // and where the packet ends
  uint32_t id = 0;         // of its fragments

  uint32_t sources() const noexcept { return start + (v6 ? 8 : 12); }
  uint32_t address_bytes() const noexcept { return v6 ? 16 : 4; }
  Address source(std::span<const std::byte> frame) const noexcept {
    return Address::from(frame.data() + sources(), v6);
  }
  Address destination(std::span<const std::byte> frame) const noexcept {
    return Address::from(frame.data() + sources() + address_bytes(), v6);
  }
};

enum class Quoted : bool { kNo, kYes };

/// Nothing where it is not whole, or contradicts itself. Of what is quoted the end may be missing.
std::optional<Network> read_network(std::span<const std::byte> frame, uint32_t start, bool v6,
                                    Quoted quoted = Quoted::kNo) noexcept;

/// Where in its header a protocol keeps a checksum that covers addresses, too; nothing where it has none.
std::optional<uint32_t> sum_place(uint8_t protocol) noexcept;

/// Whether an ICMP or ICMPv6 message of this type quotes a packet that has failed.
bool is_icmp_error(bool v6, uint8_t type) noexcept;

/// Of a frame whose note of what is left to be done has been lost: notes that its checksum is partial, if it looks so.
/// One in 65,536 whole ones does, and comes to no harm.
void find_partial_sum(Frame& frame) noexcept;

/// Puts the checksum that a sender has left out where it belongs: what the wire would have had.
void complete_sum(Frame& frame) noexcept;

}  // namespace ringtap::forward
