// What IP carries, in the words of EVE.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringtap::flow {

/// Empty: it has no name there, and is told by its number.
constexpr std::string_view protocol_name(uint8_t protocol) noexcept {
  switch (protocol) {
    case 1:
      return "ICMP";
    case 2:
      return "IGMP";
    case 6:
      return "TCP";
    case 17:
      return "UDP";
    case 33:
      return "DCCP";
    case 47:
      return "GRE";
    case 50:
      return "ESP";
    case 51:
      return "AH";
    case 58:
      return "IPv6-ICMP";
    case 132:
      return "SCTP";
    case 136:
      return "UDPLITE";
    default:
      return {};
  }
}

}  // namespace ringtap::flow
