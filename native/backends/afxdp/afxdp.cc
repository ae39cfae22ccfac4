#include "backends/afxdp/afxdp.h"

#include <linux/bpf.h>
#include <net/if.h>

#include <cerrno>

#include "backends/afxdp/abi.h"
#include "backends/afxdp/bpf.h"
#include "backends/afxdp/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_afxdp(const OpenRequest& request) { return afxdp::AfXdp::open(request); }

Probe probe_afxdp() {
  const UniqueFd fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  const int err = errno;
  if (!fd && err != EPERM && err != EACCES) {
    return {.available = false,
            .error = system_error(Code::kBackendMissing, "the kernel has no AF_XDP", "socket", err)};
  }
  const std::string missing = afxdp::missing_capabilities();
  if (!missing.empty()) {
    return {.available = false, .error = afxdp::capability_error("AF_XDP", missing, "socket", EPERM)};
  }
  // Capabilities of a user namespace count for the socket, not for bpf(2).
  if (auto map = afxdp::create_map({.type = BPF_MAP_TYPE_XSKMAP}); !map) {
    return {.available = false, .error = std::move(map).error()};
  }
  return {.detail = "XDP sockets"};
}

std::vector<Device> devices_afxdp() {
  std::vector<Device> devices;
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct if_nameindex* names = if_nameindex();
  if (names == nullptr) return devices;
  for (const struct if_nameindex* entry = names; entry->if_index != 0; entry++) {
    const auto state = afxdp::link_state(fd.get(), static_cast<int>(entry->if_index));
    const std::string name = entry->if_name;
    if (name != "lo") devices.push_back({.target = name, .up = state == afxdp::LinkState::kUp});
  }
  if_freenameindex(names);
  return devices;
}

}  // namespace ringtap
