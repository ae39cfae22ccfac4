// What the stand-ins share. Faults on request: RINGTAP_STANDIN="slots=64,version=22" in the environment, read at each
// open.
#pragma once

#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace ringtap::standin {

inline std::optional<long> asked_for(const std::string& name) {
  const char* text = std::getenv("RINGTAP_STANDIN");
  if (text == nullptr) return std::nullopt;
  const std::string all = "," + std::string(text) + ",";
  const size_t at = all.find("," + name + "=");
  if (at == std::string::npos) return std::nullopt;
  return std::strtol(all.c_str() + at + name.size() + 2, nullptr, 10);
}

/// The number of an interface, asked for with a descriptor that is there; 0 if there is none.
inline int interface_number(int fd, const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return ioctl(fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

}  // namespace ringtap::standin
