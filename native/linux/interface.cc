#include "linux/interface.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace ringtap {

int interface_index(int fd, const std::string& name) noexcept {
  ifreq request{};
  if (name.size() >= IFNAMSIZ) {
    errno = ENODEV;
    return 0;
  }
  name.copy(request.ifr_name, IFNAMSIZ - 1);
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

}  // namespace ringtap
