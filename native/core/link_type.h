// LINKTYPE_ values that something is done about; the full list is at tcpdump.org/linktypes.html.
#pragma once

#include <cstdint>

namespace ringtap {

enum LinkType : uint32_t {
  kLinkNull = 0,
  kLinkEthernet = 1,
  kLinkPpp = 9,
  kLinkPppHdlc = 50,
  kLinkRaw = 101,
  kLinkCiscoHdlc = 104,
  kLinkIeee80211 = 105,
  kLinkLoop = 108,
  kLinkLinuxSll = 113,
  kLinkPrism = 119,
  kLinkRadiotap = 127,
  kLinkAvs = 163,
  kLinkErf = 197,
  kLinkCan = 227,
  kLinkIpv4 = 228,
  kLinkIpv6 = 229,
  kLinkDbus = 231,
  kLinkUsbPcap = 249,
  kLinkNetlink = 253,
  kLinkLinuxSll2 = 276,
  kLinkEbhscr = 279,
};

}  // namespace ringtap
