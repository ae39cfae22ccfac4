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

/// `group`: what a capture shares packets with, or null.
Result<std::unique_ptr<Source>> open_one(const OpenRequest& request, std::shared_ptr<FanoutGroup> group) {
  const std::string& uri = request.uri;
  auto fd = open_socket(SOCK_RAW, uri);
  if (!fd) return std::move(fd).error();
  auto target = query_target(fd->get(), request.target, uri);
  if (!target) return std::move(target).error();
  if (!target->up)
    return Error{.code = Code::kInterfaceDown, .message = uri + ": interface \"" + request.target + "\" is down"};
  if (request.purpose == Purpose::kTransmit) return open_sender(*target, request);
  if (target->cooked) {
    fd = open_socket(SOCK_DGRAM, uri);
    if (!fd) return std::move(fd).error();
  }

  SourceInfo info;
  choose_clock(fd->get(), *target, request, info);
  auto mapped = map_ring(fd->get(), request.options, uri);
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
  return std::unique_ptr<Source>(std::make_unique<AfPacket>(*std::move(fd), *std::move(target), std::move(mapped->ring),
                                                            std::move(info), request, std::move(group)));
}

}  // namespace

}  // namespace afpacket

Result<std::unique_ptr<Source>> open_afpacket(const OpenRequest& request) {
  return afpacket::open_one(request, nullptr);
}

Result<Shares> open_shares_afpacket(const OpenRequest& request, const Sharing& sharing) {
  auto group = afpacket::FanoutGroup::create(sharing, request.uri);
  if (!group) return std::move(group).error();
  Shares shares;
  for (uint32_t i = 0; i < sharing.shares; i++) {
    auto source = afpacket::open_one(request, *group);
    if (!source) return std::move(source).error();
    shares.sources.push_back(*std::move(source));
    if (request.is_cancelled()) return Error{.code = Code::kClosed, .message = "opening was given up"};
  }
  shares.method = (*group)->method();
  shares.hash = (*group)->hash();
  if ((*group)->looks_for_orphans()) {
    shares.orphans = [group = *group] { return group->orphans(); };
  }
  return shares;
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
