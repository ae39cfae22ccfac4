#include "backends/afxdp/afxdp.h"

#include <linux/bpf.h>
#include <sys/socket.h>

#include <cerrno>

#include "backends/afxdp/abi.h"
#include "backends/afxdp/bpf.h"
#include "backends/afxdp/source.h"
#include "linux/list.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_afxdp(const OpenRequest& request) { return afxdp::AfXdp::open(request); }

Probe probe_afxdp() {
  const UniqueFd fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  const int err = errno;
  if (!fd && err != EPERM && err != EACCES) {
    return {.available = false,
            .error = system_error(Code::kBackendMissing, "the kernel has no AF_XDP", "socket", err)};
  }
  if (!fd || afxdp::lacks_rights()) {
    return {.available = false, .error = afxdp::rights_error("AF_XDP", "socket", fd ? EPERM : err)};
  }
  // Capabilities of a user namespace count for the socket, not for bpf(2).
  if (auto map = afxdp::create_map({.type = BPF_MAP_TYPE_XSKMAP}); !map) {
    return {.available = false, .error = std::move(map).error()};
  }
  return {.detail = "XDP sockets"};
}

std::vector<Device> devices_afxdp() {
  std::vector<Device> devices;
  for (const Interface& interface : list_interfaces()) {
    if (!interface.loopback) devices.push_back({.target = interface.name, .up = interface.up});
  }
  return devices;
}

}  // namespace ringtap
