#include "backends/afxdp/device.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/unique_fd.h"

namespace ringtap::afxdp {

namespace {

ifreq named(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

// Devices without channels of their own, such as tap, have one queue.
uint32_t rx_queues(int fd, const std::string& name) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request = named(name);
  request.ifr_data = reinterpret_cast<char*>(&channels);  // SAFETY: the ioctl's documented argument
  if (ioctl(fd, SIOCETHTOOL, &request) != 0) return 1;
  return std::max(1u, channels.rx_count + channels.combined_count);
}

}  // namespace

Result<Device> query_device(const std::string& name, const std::string& uri) {
  const auto missing = [&](const char* call, int err) {
    const Code code = err == ENODEV || err == ENXIO ? Code::kNoInterface : Code::kSystem;
    return system_error(code, uri + ": interface \"" + name + "\"", call, err);
  };
  Device device;
  device.index = static_cast<int>(if_nametoindex(name.c_str()));
  if (device.index == 0) return missing("if_nametoindex", errno);
  char real[IF_NAMESIZE] = {};
  if (if_indextoname(static_cast<unsigned>(device.index), real) == nullptr) return missing("if_indextoname", errno);
  device.name = real;

  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = named(device.name);
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return missing("ioctl(SIOCGIFFLAGS)", errno);
  device.up = (request.ifr_flags & IFF_UP) != 0;
  request = named(device.name);
  if (ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return missing("ioctl(SIOCGIFMTU)", errno);
  device.mtu = static_cast<uint32_t>(request.ifr_mtu);
  device.queues = rx_queues(fd.get(), device.name);
  return device;
}

std::optional<uint32_t> rx_queues(int index) {
  char name[IF_NAMESIZE] = {};
  if (if_indextoname(static_cast<unsigned>(index), name) == nullptr) return std::nullopt;
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return rx_queues(fd.get(), name);
}

LinkState link_state(int index) {
  char name[IF_NAMESIZE] = {};
  if (if_indextoname(static_cast<unsigned>(index), name) == nullptr) return LinkState::kGone;
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = named(name);
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return LinkState::kGone;
  return (request.ifr_flags & IFF_UP) != 0 ? LinkState::kUp : LinkState::kDown;
}

}  // namespace ringtap::afxdp
