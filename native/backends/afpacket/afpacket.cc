#include "backends/afpacket/afpacket.h"

#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "backends/afpacket/interface.h"
#include "backends/afpacket/socket.h"
#include "backends/afpacket/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_afpacket(const OpenRequest& request) {
  const std::string& uri = request.uri;
  auto fd = afpacket::open_socket(SOCK_RAW, uri);
  if (!fd) return std::move(fd).error();
  auto interface = afpacket::query_interface(fd->get(), request.target, uri);
  if (!interface) return std::move(interface).error();
  if (!interface->up)
    return Error{.code = Code::kInterfaceDown, .message = uri + ": interface \"" + request.target + "\" is down"};
  if (interface->cooked) {
    fd = afpacket::open_socket(SOCK_DGRAM, uri);
    if (!fd) return std::move(fd).error();
  }

  SourceInfo info;
  afpacket::choose_clock(fd->get(), request, info);
  auto mapped = afpacket::map_ring(fd->get(), request.options, uri);
  if (!mapped) return std::move(mapped).error();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  info.epoch_ns = std::chrono::duration_cast<std::chrono::seconds>(now).count() * 1'000'000'000;
  info.link_type = interface->link_type;
  info.snaplen = static_cast<uint32_t>(request.options.integer("snaplen", 262144));
  info.segments = mapped->ring->segments();
  // Even if each lease pins a block of its own, the kernel keeps one to fill.
  info.max_leases = std::min<uint32_t>(mapped->blocks - 1, 1024);
  info.has_hash = true;
  info.has_vlan = true;
  info.mode = "ring";
  if (interface->cooked && request.target != "any") {
    info.notes.push_back(request.target +
                         " has no link-level header that we know: packets carry an SLL2 header instead");
  }
  return std::unique_ptr<Source>(std::make_unique<afpacket::AfPacket>(
      *std::move(fd), *interface, std::move(mapped->ring), std::move(info), request));
}

Probe probe_afpacket() {
  auto fd = afpacket::open_socket(SOCK_RAW, "afpacket");
  if (!fd) return {.available = false, .error = std::move(fd).error()};
  return {.detail = "TPACKET_V3"};
}

std::vector<Device> devices_afpacket() {
  std::vector<Device> devices;
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct if_nameindex* names = if_nameindex();
  if (names == nullptr) return devices;
  for (const struct if_nameindex* entry = names; entry->if_index != 0; entry++) {
    const auto interface = afpacket::query_interface(fd.get(), entry->if_name, "afpacket");
    if (interface) devices.push_back({entry->if_name, "", interface->up, interface->loopback});
  }
  if_freenameindex(names);
  devices.push_back({"any", "every interface, cooked"});
  return devices;
}

}  // namespace ringtap
