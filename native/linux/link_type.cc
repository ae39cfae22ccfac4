#include "linux/link_type.h"

#include <net/if_arp.h>

namespace ringtap {

namespace {

// ARPHRD_ values that older <net/if_arp.h> lack.
constexpr int kArphrdRawIp = 519;
constexpr int kArphrdNetlink = 824;

}  // namespace

std::optional<LinkType> link_type_of(int hardware) noexcept {
  switch (hardware) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return kLinkEthernet;
    case ARPHRD_NONE:
    case kArphrdRawIp:
      return kLinkRaw;
    case ARPHRD_IEEE80211:
      return kLinkIeee80211;
    case ARPHRD_IEEE80211_PRISM:
      return kLinkPrism;
    case ARPHRD_IEEE80211_RADIOTAP:
      return kLinkRadiotap;
    case ARPHRD_CAN:
      return kLinkCan;
    case kArphrdNetlink:
      return kLinkNetlink;
    default:
      return std::nullopt;
  }
}

}  // namespace ringtap
