#include "linux/interface.h"

#include <linux/sockios.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace ringtap {

UniqueFd query_socket() noexcept { return UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

ifreq request_for(const std::string& name) noexcept {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Result<Interface> query_interface(int fd, const std::string& name, const std::string& uri) {
  const auto missing = [&](const char* call) {
    const Code code = errno == ENODEV || errno == ENXIO ? Code::kNoInterface : Code::kSystem;
    return system_error(code, uri + ": interface \"" + name + "\"", call, errno);
  };
  Interface result;
  result.index = interface_index(fd, name);
  if (result.index == 0) return missing("ioctl(SIOCGIFINDEX)");
  // An alternative name is good for the index only; the other calls want the real one.
  char real[IF_NAMESIZE] = {};
  if (!interface_name(fd, result.index, real)) return missing("ioctl(SIOCGIFNAME)");
  result.name = real;

  ifreq request = request_for(result.name);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return missing("ioctl(SIOCGIFFLAGS)");
  result.up = (request.ifr_flags & IFF_UP) != 0;
  result.loopback = (request.ifr_flags & IFF_LOOPBACK) != 0;
  request = request_for(result.name);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) return missing("ioctl(SIOCGIFHWADDR)");
  result.hardware = request.ifr_hwaddr.sa_family;
  request = request_for(result.name);
  if (ioctl(fd, SIOCGIFMTU, &request) != 0) return missing("ioctl(SIOCGIFMTU)");
  result.mtu = static_cast<uint32_t>(request.ifr_mtu);
  return result;
}

int interface_index(int fd, const std::string& name) noexcept {
  if (name.size() >= IFNAMSIZ) {
    errno = ENODEV;
    return 0;
  }
  ifreq request = request_for(name);
  return ioctl(fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

bool interface_name(int fd, int index, char (&name)[IF_NAMESIZE]) noexcept {
  ifreq request{};
  request.ifr_ifindex = index;
  if (ioctl(fd, SIOCGIFNAME, &request) != 0) return false;
  std::memcpy(name, request.ifr_name, IF_NAMESIZE);
  return true;
}

bool is_gone(int fd, int index) noexcept {
  char name[IF_NAMESIZE];
  return !interface_name(fd, index, name) && errno == ENODEV;
}

LinkState link_state(int fd, int index) noexcept {
  char name[IF_NAMESIZE] = {};
  if (!interface_name(fd, index, name)) return LinkState::kGone;
  ifreq request{};
  std::memcpy(request.ifr_name, name, IF_NAMESIZE);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return LinkState::kGone;
  return (request.ifr_flags & IFF_UP) != 0 ? LinkState::kUp : LinkState::kDown;
}

Result<Interface> query_ethernet(int fd, const std::string& name, const std::string& uri) {
  auto interface = query_interface(fd, name, uri);
  if (!interface) return interface;
  if (interface->hardware != ARPHRD_ETHER || interface->loopback) {
    return Error{.code = Code::kUnsupported,
                 .message = uri + ": " + name + ": packets can be sent on over Ethernet only, and this is none",
                 .hint = "Name an Ethernet interface: `ringtap list` shows which there are."};
  }
  if (!interface->up) {
    return Error{.code = Code::kInterfaceDown,
                 .message = uri + ": " + name + " is down: nothing can be sent on it",
                 .hint = "sudo ip link set dev " + interface->name + " up"};
  }
  return interface;
}

Result<std::array<std::byte, 6>> hardware_address(int fd, const Interface& interface) {
  ifreq request = request_for(interface.name);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) {
    return system_error(Code::kSystem, interface.name + ": its address", "ioctl(SIOCGIFHWADDR)", errno);
  }
  std::array<std::byte, 6> address;
  std::memcpy(address.data(), request.ifr_hwaddr.sa_data, address.size());
  return address;
}

bool is_running(int fd, Interface& interface) noexcept {
  ifreq request = request_for(interface.name);
  if (ioctl(fd, SIOCGIFMTU, &request) == 0) interface.mtu = static_cast<uint32_t>(request.ifr_mtu);
  request = request_for(interface.name);
  return ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
         (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

}  // namespace ringtap
