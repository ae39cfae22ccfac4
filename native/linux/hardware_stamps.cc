#include "linux/hardware_stamps.h"

#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cerrno>

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

}  // namespace ringtap
