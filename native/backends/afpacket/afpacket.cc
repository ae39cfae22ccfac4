#include "backends/afpacket/afpacket.h"

#include <sys/socket.h>

#include <algorithm>

#include "backends/afpacket/socket.h"
#include "backends/afpacket/source.h"
#include "backends/afpacket/target.h"
#include "backends/afpacket/transmit.h"
#include "core/clock.h"
#include "core/sending_source.h"
#include "core/snaplen.h"
#include "linux/list.h"

namespace ringtap {

namespace afpacket {

namespace {

/// A socket to send by, and no ring.
Result<std::unique_ptr<Source>> open_sender(const Target& target, const OpenRequest& request) {
  auto tx = sender_on(target, request.options.flag("bypass", true));
  if (tx) {
    if (const int err = tx->open(); err != 0)
      return system_error(Code::kSystem, request.uri + ": no socket to send by", "socket", err);
  }
  SourceInfo info;
  info.link_type = target.link_type;
  info.mode = "copy";
  info.timestamp_source = "kernel";
  return std::unique_ptr<Source>(std::make_unique<SendingSource>(std::move(info), std::move(tx)));
}

}  // namespace

}  // namespace afpacket

Result<std::unique_ptr<Source>> open_afpacket(const OpenRequest& request) {
  const std::string& uri = request.uri;
  auto fd = afpacket::open_socket(SOCK_RAW, uri);
  if (!fd) return std::move(fd).error();
  auto target = afpacket::query_target(fd->get(), request.target, uri);
  if (!target) return std::move(target).error();
  if (!target->up)
    return Error{.code = Code::kInterfaceDown, .message = uri + ": interface \"" + request.target + "\" is down"};
  if (request.purpose == Purpose::kTransmit) return afpacket::open_sender(*target, request);
  if (target->cooked) {
    fd = afpacket::open_socket(SOCK_DGRAM, uri);
    if (!fd) return std::move(fd).error();
  }

  SourceInfo info;
  afpacket::choose_clock(fd->get(), *target, request, info);
  auto mapped = afpacket::map_ring(fd->get(), request.options, uri);
  if (!mapped) return std::move(mapped).error();
  info.epoch_ns = epoch_now_ns();
  info.link_type = target->link_type;
  info.snaplen = static_cast<uint32_t>(request.options.integer("snaplen", kMaxSnaplen));
  info.segments = mapped->ring->segments();
  // Even if each lease pins a block of its own, the kernel keeps one to fill.
  info.max_leases = std::min<uint32_t>(mapped->blocks - 1, 1024);
  info.mode = "ring";
  if (target->cooked && request.target != "any") {
    info.notes.push_back(request.target +
                         " has no link-level header that we know: packets carry an SLL2 header instead");
  }
  return std::unique_ptr<Source>(std::make_unique<afpacket::AfPacket>(
      *std::move(fd), *std::move(target), std::move(mapped->ring), std::move(info), request));
}

Probe probe_afpacket() {
  auto fd = afpacket::open_socket(SOCK_RAW, "afpacket");
  if (!fd) return {.available = false, .error = std::move(fd).error()};
  return {.detail = "TPACKET_V3"};
}

std::vector<Device> devices_afpacket() {
  std::vector<Device> devices;
  for (const Interface& interface : list_interfaces()) {
    devices.push_back({.target = interface.name, .up = interface.up, .loopback = interface.loopback});
  }
  devices.push_back({.target = "any", .description = "every interface, cooked"});
  return devices;
}

}  // namespace ringtap
