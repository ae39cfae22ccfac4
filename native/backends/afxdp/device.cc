#include "backends/afxdp/device.h"

#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "linux/interface.h"

namespace ringtap::afxdp {

namespace {

ifreq named(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

// Devices without channels of their own, such as tap, have one queue.
uint32_t queues_of(int fd, const std::string& name) {
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
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return missing("socket", errno);
  Device device;
  device.index = interface_index(fd.get(), name);
  if (device.index == 0) return missing("ioctl(SIOCGIFINDEX)", errno);
  char real[IF_NAMESIZE] = {};
  if (!interface_name(fd.get(), device.index, real)) return missing("ioctl(SIOCGIFNAME)", errno);
  device.name = real;

  ifreq request = named(device.name);
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return missing("ioctl(SIOCGIFFLAGS)", errno);
  device.up = (request.ifr_flags & IFF_UP) != 0;
  request = named(device.name);
  if (ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return missing("ioctl(SIOCGIFMTU)", errno);
  device.mtu = static_cast<uint32_t>(request.ifr_mtu);
  device.queues = queues_of(fd.get(), device.name);
  return device;
}

std::optional<uint32_t> rx_queues(int fd, int index) {
  char name[IF_NAMESIZE] = {};
  if (!interface_name(fd, index, name)) return std::nullopt;
  return queues_of(fd, name);
}

LinkState link_state(int fd, int index) {
  char name[IF_NAMESIZE] = {};
  if (!interface_name(fd, index, name)) return LinkState::kGone;
  ifreq request = named(name);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return LinkState::kGone;
  return (request.ifr_flags & IFF_UP) != 0 ? LinkState::kUp : LinkState::kDown;
}

Result<LinkEvents> LinkEvents::open(int index, const std::string& uri) {
  LinkEvents events;
  events.index_ = index;
  events.fd_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  // SAFETY: bind() takes every address family through sockaddr.
  if (!events.fd_ || bind(events.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return system_error(Code::kSystem, uri + ": cannot hear of changes of the interface", "bind(AF_NETLINK)", errno);
  return events;
}

LinkNews LinkEvents::read() noexcept {
  LinkNews news;
  for (;;) {
    // The beginning of a message; the rest is cut off. The kernel sends one at a time.
    struct {
      nlmsghdr head;
      ifinfomsg link;
    } message{};
    const ssize_t bytes = recv(fd(), &message, sizeof message, 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == ENOBUFS) missed_ = true;
    if (bytes < 0 && errno != ENOBUFS) break;
    // WHY the family: bridges tell of their ports, too, and of ports that leave.
    if (bytes < ssize_t{sizeof message} || message.link.ifi_index != index_ || message.link.ifi_family != AF_UNSPEC)
      continue;
    if (message.head.nlmsg_type == RTM_DELLINK) see(LinkState::kGone, news);
    if (message.head.nlmsg_type == RTM_NEWLINK)
      see((message.link.ifi_flags & IFF_UP) != 0 ? LinkState::kUp : LinkState::kDown, news);
  }
  if (std::exchange(missed_, false)) see(link_state(fd(), index_), news);
  return news;
}

void LinkEvents::see(LinkState state, LinkNews& news) noexcept {
  news.gone |= state == LinkState::kGone;
  const bool up = state == LinkState::kUp;
  if (state == LinkState::kDown && up_) news.downs++;
  news.up = up && (news.up || !up_);
  up_ = up;
}

int enable_hardware_timestamps(const std::string& name) {
  hwtstamp_config config{};
  config.tx_type = HWTSTAMP_TX_OFF;
  config.rx_filter = HWTSTAMP_FILTER_ALL;
  ifreq request = named(name);
  request.ifr_data = reinterpret_cast<char*>(&config);  // SAFETY: the ioctl's documented argument
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd && ioctl(fd.get(), SIOCSHWTSTAMP, &request) == 0 ? 0 : errno;
}

}  // namespace ringtap::afxdp
