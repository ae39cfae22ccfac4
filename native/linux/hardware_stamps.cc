#include "linux/hardware_stamps.h"

#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "linux/interface.h"

namespace ringtap {

int enable_hardware_stamps(const std::string& interface) noexcept {
  const UniqueFd fd = query_socket();
  if (!fd) return errno;
  hwtstamp_config config{};
  config.tx_type = HWTSTAMP_TX_OFF;
  config.rx_filter = HWTSTAMP_FILTER_ALL;
  ifreq request = request_for(interface);
  request.ifr_data = reinterpret_cast<char*>(&config);  // SAFETY: the ioctl's documented argument
  return ioctl(fd.get(), SIOCSHWTSTAMP, &request) == 0 ? 0 : errno;
}

bool choose_hardware_stamps(std::span<const std::string> interfaces, const std::string& target, Purpose purpose,
                            SourceInfo& info) {
  info.timestamp_source = "hardware";
  if (purpose == Purpose::kExplain) {
    info.notes.push_back("whether " + target + " stamps packets is known when the capture opens");
    return false;
  }
  for (const std::string& interface : interfaces) {
    const int err = enable_hardware_stamps(interface);
    if (err == 0) continue;
    info.timestamp_source = "kernel";
    info.notes.push_back("no hardware timestamps from " + target + ": " + std::strerror(err) +
                         "; the kernel's clock is used");
    return false;
  }
  return true;
}

}  // namespace ringtap
