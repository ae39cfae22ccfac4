#include "backends/afxdp/device.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

namespace ringtap::afxdp {

namespace {

// Devices without channels of their own, such as tap, have one queue.
uint32_t queues_of(int fd, const std::string& name) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request = request_for(name);
  request.ifr_data = reinterpret_cast<char*>(&channels);  // SAFETY: the ioctl's documented argument
  if (ioctl(fd, SIOCETHTOOL, &request) != 0) return 1;
  return std::max(1u, channels.rx_count + channels.combined_count);
}

}  // namespace

Result<Device> query_device(const std::string& name, const std::string& uri) {
  const UniqueFd fd = query_socket();
  if (!fd) return system_error(Code::kSystem, uri + ": interface \"" + name + "\"", "socket", errno);
  auto interface = query_interface(fd.get(), name, uri);
  if (!interface) return std::move(interface).error();
  const uint32_t queues = queues_of(fd.get(), interface->name);
  return Device{*std::move(interface), queues};
}

std::optional<uint32_t> rx_queues(int fd, int index) {
  char name[IF_NAMESIZE] = {};
  if (!interface_name(fd, index, name)) return std::nullopt;
  return queues_of(fd, name);
}

}  // namespace ringtap::afxdp
