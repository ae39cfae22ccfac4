#include "backends/afpacket/interface.h"

#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "linux/interface.h"

namespace ringtap::afpacket {

namespace {

// LINKTYPE_ values of the registry at tcpdump.org/linktypes.html.
constexpr uint32_t kEthernet = 1;
constexpr uint32_t kRaw = 101;
constexpr uint32_t kIeee80211 = 105;
constexpr uint32_t kPrism = 119;
constexpr uint32_t kRadiotap = 127;
constexpr uint32_t kCan = 227;
constexpr uint32_t kNetlink = 253;
constexpr uint32_t kLinuxSll2 = 276;

// ARPHRD_ values that older <net/if_arp.h> lack.
constexpr int kArphrdRawIp = 519;
constexpr int kArphrdNetlink = 824;

ifreq named(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

}  // namespace

Result<Interface> query_interface(int fd, const std::string& name, const std::string& uri) {
  Interface result;
  if (name == "any") {
    result.link_type = kLinuxSll2;
    result.cooked = true;
    return result;
  }
  const auto missing = [&](int err) {
    return system_error(err == ENODEV || err == ENXIO ? Code::kNoInterface : Code::kSystem,
                        uri + ": interface \"" + name + "\"", "ioctl", err);
  };
  result.index = interface_index(fd, name);
  if (result.index == 0) return missing(errno);
  // An alternative name is good for the index only; the other calls want the real one.
  char real[IF_NAMESIZE] = {};
  if (!interface_name(fd, result.index, real)) return missing(errno);

  ifreq request = named(real);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return missing(errno);
  result.up = (request.ifr_flags & IFF_UP) != 0;
  result.loopback = (request.ifr_flags & IFF_LOOPBACK) != 0;

  request = named(real);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) return missing(errno);
  switch (request.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      result.link_type = kEthernet;
      break;
    case ARPHRD_NONE:
    case kArphrdRawIp:
      result.link_type = kRaw;
      break;
    case ARPHRD_IEEE80211:
      result.link_type = kIeee80211;
      break;
    case ARPHRD_IEEE80211_PRISM:
      result.link_type = kPrism;
      break;
    case ARPHRD_IEEE80211_RADIOTAP:
      result.link_type = kRadiotap;
      break;
    case ARPHRD_CAN:
      result.link_type = kCan;
      break;
    case kArphrdNetlink:
      result.link_type = kNetlink;
      result.cooked = false;
      break;
    default:
      result.link_type = kLinuxSll2;
      result.cooked = true;
  }
  return result;
}

int enable_hardware_timestamps(int fd, const std::string& name) {
  hwtstamp_config config{};
  config.tx_type = HWTSTAMP_TX_OFF;
  config.rx_filter = HWTSTAMP_FILTER_ALL;
  ifreq request = named(name);
  request.ifr_data = reinterpret_cast<char*>(&config);  // SAFETY: the ioctl's documented argument
  return ioctl(fd, SIOCSHWTSTAMP, &request) == 0 ? 0 : errno;
}

}  // namespace ringtap::afpacket
