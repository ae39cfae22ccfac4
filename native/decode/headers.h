// What decoding says about one packet, as numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ringtap::decode {

/// Bits of Headers::flags; lib/decode exports the same values as DecodeFlags.
enum Flag : uint32_t {
  kPorts = 1,           // src_port and dst_port were read
  kTcp = 1 << 1,        // sequence, acknowledgment, window and tcp_flags were read
  kFragment = 1 << 2,   // a piece of a datagram
  kMore = 1 << 3,       // … and not the last one
  kOptions = 1 << 4,    // IPv4 options, or IPv6 extension headers
  kOffloaded = 1 << 5,  // IPv4 total length 0, left for the NIC to fill in: taken from the frame
  kJumbo = 1 << 6,      // the length is that of a jumbo payload option

  kCut = 1 << 8,               // the captured bytes end within a header
  kPayloadCut = 1 << 9,        // not all of the payload was captured
  kMissing = 1 << 10,          // IP claims more bytes than the frame has on the wire
  kNoRoom = 1 << 11,           // a length field ends within a header
  kBadVersion = 1 << 12,       // IP, but neither 4 nor 6, or not what the link header announces
  kBadHeaderLength = 1 << 13,  // IPv4 or TCP: below its minimum, or TCP: more than IP has
  kBadLength = 1 << 14,     // IPv4: less than its header; UDP: less than its header, or more than IP has; IPv6: 0 for
                            // no jumbo payload
  kBadExtension = 1 << 15,  // a hop-by-hop header that is not the first
  kUnknownLink = 1 << 16,   // a link type that is not decoded
  kOutside = 1 << 17,       // the descriptor points outside the batch's memory
};

/// Where there is nothing to point at. As an offset of a released batch, any DataView read with it throws RangeError.
constexpr uint32_t kAbsent = 0x7fffffff;

using Address6 = std::array<std::byte, 16>;

/// The headers of one packet. What was not reached is 0, or kAbsent where it is an offset. Offsets count from the
/// packet's first byte, and point at a byte that was captured.
struct Headers {
  uint32_t flags = 0;
  uint32_t network_offset = kAbsent;
  uint32_t transport_offset = kAbsent;
  uint32_t payload_offset = kAbsent;
  uint32_t payload_length = 0;  // on the wire, as the length fields say, link padding excluded
  uint32_t payload_caplen = 0;  // … and what was captured of it
  uint32_t total_length = 0;    // of IP, its header included
  uint32_t src4 = 0;
  uint32_t dst4 = 0;
  uint32_t fragment_id = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgment = 0;
  uint32_t flow_hash = 0;
  uint16_t ether_type = 0;
  uint16_t outer_tpid = 0;
  uint16_t outer_tci = 0;
  uint16_t inner_tpid = 0;
  uint16_t inner_tci = 0;
  uint16_t fragment_offset = 0;  // in bytes
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint16_t window = 0;
  uint8_t vlan_count = 0;  // 255 stands for more, too
  uint8_t ip_version = 0;  // 0: no IP header was read
  uint8_t ip_header_length = 0;
  uint8_t traffic_class = 0;
  uint8_t ttl = 0;
  uint8_t protocol = 0;
  uint8_t tcp_flags = 0;
  /// Where the 32 bytes of the IPv6 addresses lie in the packet; kAbsent where there are none.
  uint32_t addresses6 = kAbsent;
};

enum Protocol : uint8_t {
  kHopByHop = 0,
  kTcpProtocol = 6,
  kUdp = 17,
  kDccp = 33,
  kRouting = 43,
  kFragmentHeader = 44,
  kAuthentication = 51,
  kDestinationOptions = 60,
  kSctp = 132,
  kUdpLite = 136,
};

}  // namespace ringtap::decode
