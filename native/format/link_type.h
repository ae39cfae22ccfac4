// LINKTYPE_ values that trace formats treat in a special way; the full list is at tcpdump.org/linktypes.html.
#pragma once

#include <cstdint>

namespace ringtap {

enum LinkType : uint32_t {
  kLinkEthernet = 1,
  kLinkRaw = 101,
  kLinkCiscoHdlc = 104,
  kLinkErf = 197,
  kLinkDbus = 231,
  kLinkUsbPcap = 249,
  kLinkEbhscr = 279,
};

/// The longest packet that a trace may hold; a longer one is damage. The limits are libpcap's.
constexpr uint32_t max_caplen(uint32_t link_type) noexcept {
  switch (link_type) {
    case kLinkDbus:
      return 128u << 20;
    case kLinkEbhscr:
      return 8u << 20;
    case kLinkUsbPcap:
      return 1u << 20;
    default:
      return 262144;
  }
}

}  // namespace ringtap
