#include "serve/own_traffic.h"

#include <algorithm>

#include "core/byte_order.h"
#include "core/link_type.h"

namespace ringtap {
namespace {

constexpr uint16_t kIpv4 = 0x0800;
constexpr uint16_t kIpv6 = 0x86dd;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr size_t kMostTags = 4;
constexpr size_t kMostExtensions = 8;

constexpr bool is_tag(uint16_t type) noexcept { return type == 0x8100 || type == 0x88a8 || type == 0x9100; }

uint8_t octet(std::span<const std::byte> bytes, size_t at) noexcept { return static_cast<uint8_t>(bytes[at]); }

uint16_t half(std::span<const std::byte> bytes, size_t at) noexcept { return load_big<uint16_t>(&bytes[at]); }

AnyAddress address_4(std::span<const std::byte> four) noexcept {
  AnyAddress address{};
  address[10] = address[11] = std::byte{0xff};
  std::copy_n(four.begin(), 4, address.begin() + 12);
  return address;
}

AnyAddress address_6(std::span<const std::byte> sixteen) noexcept {
  AnyAddress address;
  std::copy_n(sixteen.begin(), address.size(), address.begin());
  return address;
}

}  // namespace

void OwnTraffic::set(std::span<const std::byte> connections) {
  connections_.clear();
  ports_.reset();
  for (; connections.size() >= kBytes; connections = connections.subspan(kBytes)) {
    const Connection one{.protocol = octet(connections, 0),
                         .local = address_6(connections.subspan(8)),
                         .peer = address_6(connections.subspan(24)),
                         .local_port = half(connections, 2),
                         .peer_port = half(connections, 4)};
    connections_.push_back(one);
    ports_.set(one.local_port);
  }
}

bool OwnTraffic::has(std::span<const std::byte> packet, uint32_t link_type) const noexcept {
  Seen seen;
  if (connections_.empty() || !read(packet, link_type, seen)) return false;
  if (seen.is_later_fragment) {
    return std::any_of(connections_.begin(), connections_.end(), [&](const Connection& one) {
      return one.protocol == kUdp && one.local == seen.source && one.peer == seen.destination;
    });
  }
  if (!ports_.test(seen.source_port) && !ports_.test(seen.destination_port)) return false;
  const auto is = [](const Connection& one, const AnyAddress& local, uint16_t local_port, const AnyAddress& peer,
                     uint16_t peer_port) {
    return one.local_port == local_port && (one.peer_port == 0 || one.peer_port == peer_port) && one.local == local &&
           (one.peer == peer || one.peer == AnyAddress{});
  };
  return std::any_of(connections_.begin(), connections_.end(), [&](const Connection& one) {
    return one.protocol == seen.protocol &&
           (is(one, seen.source, seen.source_port, seen.destination, seen.destination_port) ||
            is(one, seen.destination, seen.destination_port, seen.source, seen.source_port));
  });
}

/// False: it is nothing that a connection of ours could have. Each byte is read once: others may write to it meanwhile.
bool OwnTraffic::read(std::span<const std::byte> packet, uint32_t link_type, Seen& seen) noexcept {
  size_t at = 0;  // of the type of what follows, and then of that
  switch (link_type) {
    case kLinkEthernet:
      at = 12;
      break;
    case kLinkLinuxSll:
      at = 14;
      break;
    case kLinkLinuxSll2:
      if (packet.size() < 20) return false;
      if (half(packet, 0) == kIpv4) return read_4(packet.subspan(20), seen);
      return half(packet, 0) == kIpv6 && read_6(packet.subspan(20), seen);
    case kLinkRaw:
      if (packet.empty()) return false;
      return octet(packet, 0) >> 4 == 4 ? read_4(packet, seen) : read_6(packet, seen);
    default:
      return false;
  }
  for (size_t tags = 0; tags <= kMostTags; tags++, at += 4) {
    if (packet.size() < at + 2) return false;
    const uint16_t type = half(packet, at);
    if (type == kIpv4) return read_4(packet.subspan(at + 2), seen);
    if (type == kIpv6) return read_6(packet.subspan(at + 2), seen);
    if (!is_tag(type)) return false;
  }
  return false;
}

bool OwnTraffic::read_4(std::span<const std::byte> ip, Seen& seen) noexcept {
  if (ip.size() < 20) return false;
  const size_t header = size_t{4} * (octet(ip, 0) & 15u);
  seen.protocol = octet(ip, 9);
  seen.source = address_4(ip.subspan(12));
  seen.destination = address_4(ip.subspan(16));
  seen.is_later_fragment = (half(ip, 6) & 0x1fff) != 0;
  if (seen.is_later_fragment) return seen.protocol == kUdp;
  return header >= 20 && ip.size() >= header && read_ports(ip.subspan(header), seen);
}

bool OwnTraffic::read_6(std::span<const std::byte> ip, Seen& seen) noexcept {
  if (ip.size() < 40) return false;
  seen.source = address_6(ip.subspan(8));
  seen.destination = address_6(ip.subspan(24));
  uint8_t next = octet(ip, 6);
  std::span<const std::byte> rest = ip.subspan(40);
  for (size_t i = 0; i < kMostExtensions; i++) {
    constexpr uint8_t kHopByHop = 0;
    constexpr uint8_t kRouting = 43;
    constexpr uint8_t kFragment = 44;
    constexpr uint8_t kDestination = 60;
    const bool is_fragment = next == kFragment;
    if (!is_fragment && next != kHopByHop && next != kRouting && next != kDestination) break;
    if (rest.size() < 8) return false;
    next = octet(rest, 0);
    if (is_fragment && (half(rest, 2) & 0xfff8) != 0) {
      seen.is_later_fragment = true;
      seen.protocol = next;
      return next == kUdp;
    }
    const size_t bytes = is_fragment ? 8 : size_t{8} * (octet(rest, 1) + 1u);
    if (rest.size() < bytes) return false;
    rest = rest.subspan(bytes);
  }
  seen.protocol = next;
  return read_ports(rest, seen);
}

bool OwnTraffic::read_ports(std::span<const std::byte> transport, Seen& seen) noexcept {
  if ((seen.protocol != kTcp && seen.protocol != kUdp) || transport.size() < 4) return false;
  seen.source_port = half(transport, 0);
  seen.destination_port = half(transport, 2);
  return true;
}

}  // namespace ringtap
