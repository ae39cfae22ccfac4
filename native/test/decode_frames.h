// Frames made by hand for the tests of native/decode.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "core/link_type.h"
#include "decode/decode.h"

namespace ringtap::decode {

using Frame = std::vector<std::byte>;

/// Bytes of hex digits; blanks are ignored.
inline Frame hex(std::string_view text) {
  Frame bytes;
  int high = -1;
  for (const char c : text) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high >= 0) bytes.push_back(static_cast<std::byte>(high * 16 + digit));
    high = high >= 0 ? -1 : digit;
  }
  return bytes;
}

inline Frame operator+(Frame a, const Frame& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Frame u16(size_t value) { return {static_cast<std::byte>(value >> 8), static_cast<std::byte>(value)}; }

inline const Frame kMacs = hex("020000000002 020000000001");
inline const Frame kUdpDatagram = hex("9c40 0035 000c 0000 01020304");
inline const Frame kTcpSegment =
    hex("9c40 01bb 00000007 80000009 8018 1234 0000 0000 0101080a 00000001 00000002 aabbcc");

inline Frame ipv4(uint8_t protocol, const Frame& payload, std::string_view fragment = "4000",
                  std::string_view options = "") {
  const Frame extra = hex(options);
  return Frame{static_cast<std::byte>(0x45 + extra.size() / 4), std::byte{0xb8}} +
         u16(20 + extra.size() + payload.size()) + hex("1234") + hex(fragment) +
         Frame{std::byte{63}, std::byte{protocol}} + hex("0000 0a000001 c0a80102") + extra + payload;
}

inline Frame ipv6(uint8_t next, const Frame& payload) {
  return hex("6b812345") + u16(payload.size()) + Frame{std::byte{next}, std::byte{62}} +
         hex("20010db8000000000000000000000001 fe800000000000000000000000000002") + payload;
}

inline Frame ethernet(std::string_view type, const Frame& payload) { return kMacs + hex(type) + payload; }

inline Headers decoded(const Frame& frame, uint32_t link_type = kLinkEthernet) {
  return decode_packet(frame, static_cast<uint32_t>(frame.size()), link_type);
}

inline uint32_t verdict(const Headers& headers) {
  return headers.flags & ~(kPorts | kTcp | kOptions | kFragment | kMore);
}

/// Every kind of packet that the tests know, for those that are about all of them.
inline std::vector<std::pair<uint32_t, Frame>> samples() {
  const Frame fragment6 = hex("1100 0001 00000063") + kUdpDatagram;
  const Frame routed = hex("1102 0001 00000000 20010db8000000000000000000000009") + kUdpDatagram;
  return {
      {kLinkEthernet, ethernet("0800", ipv4(17, kUdpDatagram))},
      {kLinkEthernet, ethernet("0800", ipv4(6, kTcpSegment, "0000", "01010100"))},
      {kLinkEthernet, ethernet("88a80064 8100e005 0800", ipv4(17, kUdpDatagram))},
      {kLinkEthernet, ethernet("86dd", ipv6(6, kTcpSegment))},
      {kLinkEthernet, ethernet("86dd", ipv6(0, hex("2c00 0502 0000 0100") + fragment6))},
      {kLinkEthernet, ethernet("86dd", ipv6(43, routed))},
      {kLinkEthernet, ethernet("0800", ipv4(132, hex("0001 0002 00000000 00000000 0000")))},
      {kLinkEthernet, ethernet("0806", hex("0001 0800 0604 0001"))},
      {kLinkLinuxSll, hex("0004 0001 0006 020000000001 0000 0800") + ipv4(17, kUdpDatagram)},
      {kLinkLinuxSll2, hex("86dd 0000 00000007 0001 00 06 020000000001 0000") + ipv6(17, kUdpDatagram)},
      {kLinkNull, hex("02000000") + ipv4(17, kUdpDatagram)},
      {kLinkLoop, hex("0000001e") + ipv6(6, kTcpSegment)},
      {kLinkRaw, ipv6(17, kUdpDatagram)},
      {kLinkIpv4, ipv4(6, kTcpSegment)},
  };
}

}  // namespace ringtap::decode
