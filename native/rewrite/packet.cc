#include "rewrite/packet.h"

#include <algorithm>

#include "core/byte_order.h"
#include "decode/headers.h"

namespace ringtap::rewrite {

namespace {

using checksum::Delta;

constexpr uint8_t kIcmp = 1, kIcmp6 = 58;

}  // namespace

std::optional<uint32_t> sum_place(uint8_t protocol) noexcept {
  switch (protocol) {
    case decode::kTcpProtocol:
      return 16;
    case decode::kUdp:
    case decode::kUdpLite:
    case decode::kDccp:
      return 6;
    case kIcmp6:
      return 2;
    default:
      return std::nullopt;
  }
}

bool has_ports(uint8_t protocol) noexcept {
  return protocol == decode::kTcpProtocol || protocol == decode::kUdp || protocol == decode::kUdpLite ||
         protocol == decode::kDccp;
}

bool has_id(bool v6, uint8_t type) noexcept {
  return v6 ? type == 128 || type == 129 : type == 0 || type == 8 || (type >= 13 && type <= 18);
}

bool Packet::is_icmp4() const noexcept { return !at_.v6 && at_.protocol == kIcmp; }

void Packet::put(std::byte* at, uint16_t value, Delta& covers) noexcept {
  const uint16_t before = load_big<uint16_t>(at);
  covers.replace16(before, value);
  changed_.replace16(before, value);
  store_big(at, value);
}

void Packet::set_address(End end, std::span<const std::byte> to) noexcept {
  const auto at = address(end);
  Delta delta;
  delta.replace(at, to);
  addresses_.add(delta);
  changed_.add(delta);
  std::copy_n(to.begin(), at.size(), at.begin());
}

bool Packet::has_ports() const noexcept {
  return at_.has_transport && rewrite::has_ports(at_.protocol) && at_.transport + 4 <= at_.end;
}

void Packet::set_port(End end, uint16_t to) noexcept {
  put(frame_.data() + at_.transport + (end == End::kSource ? 0 : 2), to, transport_);
}

bool Packet::has_id() const noexcept {
  return at_.has_transport && at_.protocol == (at_.v6 ? kIcmp6 : kIcmp) && at_.transport + 8 <= at_.end &&
         rewrite::has_id(at_.v6, std::to_integer<uint8_t>(frame_[at_.transport]));
}

void Packet::set_id(uint16_t to) noexcept { put(frame_.data() + at_.transport + 4, to, transport_); }

void Packet::set_ttl(uint8_t to) noexcept {
  std::byte* at = network(at_.v6 ? 6 : 8);
  const uint16_t before = load_big<uint16_t>(at);
  const uint32_t after = at_.v6 ? (before & 0xff00u) | to : (before & 0x00ffu) | uint32_t{to} << 8;
  put(at, static_cast<uint16_t>(after), header_);
}

void Packet::set_dscp(uint8_t to) noexcept {
  const uint32_t mask = at_.v6 ? 0x0fc0 : 0x00fc;
  const uint32_t bits = (to & 0x3fu) << (at_.v6 ? 6 : 2);
  put(network(0), static_cast<uint16_t>((load_big<uint16_t>(network(0)) & ~mask) | bits), header_);
}

std::optional<uint32_t> Packet::transport_sum() const noexcept {
  if (!at_.has_transport) return std::nullopt;
  // ICMP over IPv4 has no pseudo-header, and ICMPv6 none over IPv4.
  const auto place = is_icmp4() ? std::optional<uint32_t>(2) : sum_place(at_.protocol);
  if (!place || (at_.protocol == kIcmp6 && !at_.v6) || at_.transport + *place + 2 > at_.end) return std::nullopt;
  return at_.transport + *place;
}

void Packet::finish(Sum transport) noexcept {
  Delta unused;
  if (!at_.v6) {
    Delta header = addresses_;
    header.add(header_);
    std::byte* sum = network(10);
    put(sum, header.applied(load_big<uint16_t>(sum)), unused);
  }
  const auto place = transport_sum();
  if (!place) return;
  std::byte* at = frame_.data() + *place;
  const uint16_t before = load_big<uint16_t>(at);
  if (transport == Sum::kPartial) {
    // WHY without ports: what is not complemented yet is the pseudo-header; the ports are summed up later.
    put(at, addresses_.applied_partial(before), unused);
    return;
  }
  Delta all = transport_;
  if (!is_icmp4()) all.add(addresses_);
  if (all.empty()) return;
  put(at, at_.protocol == decode::kUdp ? all.applied_udp(before) : all.applied(before), unused);
}

}  // namespace ringtap::rewrite
