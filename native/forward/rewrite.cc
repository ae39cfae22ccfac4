#include "forward/rewrite.h"

#include "core/byte_order.h"
#include "core/checksum.h"

namespace ringtap::forward {

namespace {

using checksum::Delta;

/// ICMP messages that have an id: echo, time stamp, information and address mask.
bool has_id(bool v6, uint8_t type) noexcept {
  return v6 ? type == 128 || type == 129 : type == 0 || type == 8 || (type >= 13 && type <= 18);
}

bool has_ports(uint8_t carried) noexcept {
  return carried == protocol::kTcp || carried == protocol::kUdp || carried == protocol::kUdpLite ||
         carried == protocol::kDccp;
}

void put16(std::byte* at, uint16_t value, Delta& delta) noexcept {
  delta.replace16(load_big<uint16_t>(at), value);
  store_big<uint16_t>(at, value);
}

/// Both addresses. @returns what they change
Delta put_addresses(std::span<std::byte> frame, const Network& ip, const Edit& edit) noexcept {
  Delta delta;
  const uint32_t bytes = ip.address_bytes();
  std::byte* at = frame.data() + ip.sources();
  delta.replace({at, bytes}, edit.source.span());
  delta.replace({at + bytes, bytes}, edit.destination.span());
  std::memcpy(at, edit.source.bytes.data(), bytes);
  std::memcpy(at + bytes, edit.destination.bytes.data(), bytes);
  return delta;
}

/// Ports or the id, as far as they are there. @returns what they change
Delta put_ports(std::span<std::byte> frame, const Network& ip, const Edit& edit) noexcept {
  Delta delta;
  if (!ip.is_first) return delta;
  std::byte* at = frame.data() + ip.transport;
  if (has_ports(ip.protocol) && ip.transport + 4 <= ip.end) {
    if (edit.source_port) put16(at, *edit.source_port, delta);
    if (edit.destination_port) put16(at + 2, *edit.destination_port, delta);
    return delta;
  }
  const bool is_icmp = ip.protocol == (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp);
  if (is_icmp && ip.transport + 8 <= ip.end && has_id(ip.v6, std::to_integer<uint8_t>(at[0]))) {
    const auto id = edit.source_port ? edit.source_port : edit.destination_port;
    if (id) put16(at + 4, *id, delta);
  }
  return delta;
}

Delta both(Delta addresses, const Delta& ports) noexcept {
  addresses.add(ports);
  return addresses;
}

/// The checksum of the transport header of what is quoted: where there is one, and it was quoted.
void update_quoted_sum(std::span<std::byte> frame, const Network& quote, const Delta& addresses, const Delta& ports,
                       Delta& outer) noexcept {
  if (!quote.is_first) return;
  const bool is_icmp = quote.protocol == protocol::kIcmp && !quote.v6;
  const auto place = is_icmp ? std::optional<uint32_t>(2) : sum_place(quote.protocol);
  if (!place || quote.transport + *place + 2 > quote.end) return;
  std::byte* at = frame.data() + quote.transport + *place;
  const uint16_t before = load_big<uint16_t>(at);
  const Delta& all = is_icmp ? ports : both(addresses, ports);
  const bool is_udp = quote.protocol == protocol::kUdp;
  put16(at, is_udp ? all.applied_udp(before) : all.applied(before), outer);
}

}  // namespace

bool has_good_header(std::span<const std::byte> frame, const Network& ip) noexcept {
  return ip.v6 || checksum::of(checksum::sum(frame.subspan(ip.start, ip.transport - ip.start))) == 0;
}

bool can_rewrite(std::span<const std::byte> frame, const Network& ip) noexcept {
  if (ip.end > frame.size() || ip.transport > ip.end) return false;
  if (!ip.is_first) return true;
  const auto place = sum_place(ip.protocol);
  if (place) return ip.transport + *place + 2 <= ip.end;
  return ip.protocol != protocol::kIcmp || ip.transport + 8 <= ip.end;
}

void rewrite(Frame& frame, const Network& ip, const Edit& edit) noexcept {
  const std::span<std::byte> bytes = frame.bytes();
  const Delta addresses = put_addresses(bytes, ip, edit);
  const Delta ports = put_ports(bytes, ip, edit);
  if (edit.ttl) {
    Delta header = addresses;
    std::byte* at = bytes.data() + ip.start + (ip.v6 ? 7 : 8);
    if (!ip.v6) {
      const uint16_t before = load_big<uint16_t>(at);
      header.replace16(before, static_cast<uint16_t>(*edit.ttl << 8 | (before & 0xff)));
      std::byte* sum = bytes.data() + ip.start + 10;
      store_big<uint16_t>(sum, header.applied(load_big<uint16_t>(sum)));
    }
    *at = static_cast<std::byte>(*edit.ttl);
  } else if (!ip.v6) {
    std::byte* sum = bytes.data() + ip.start + 10;
    store_big<uint16_t>(sum, addresses.applied(load_big<uint16_t>(sum)));
  }
  if (!ip.is_first) return;
  const bool is_icmp = ip.protocol == protocol::kIcmp && !ip.v6;
  const auto place = is_icmp ? std::optional<uint32_t>(2) : sum_place(ip.protocol);
  if (!place || ip.transport + *place + 2 > ip.end) return;
  std::byte* at = bytes.data() + ip.transport + *place;
  const uint16_t before = load_big<uint16_t>(at);
  const bool is_partial =
      frame.offload.is_partial() && frame.offload.sum_start == ip.transport && frame.offload.sum_offset == *place;
  if (is_partial) {
    // WHY without ports: what is not complemented yet is the pseudo-header; the ports are summed up later.
    store_big<uint16_t>(at, addresses.applied_partial(before));
    return;
  }
  const Delta all = is_icmp ? ports : both(addresses, ports);
  store_big<uint16_t>(at, ip.protocol == protocol::kUdp ? all.applied_udp(before) : all.applied(before));
}

std::optional<Network> read_quote(std::span<const std::byte> frame, const Network& ip) noexcept {
  if (ip.protocol != (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp) || ip.is_fragment) return std::nullopt;
  if (ip.transport + 8 > ip.end || !is_icmp_error(ip.v6, std::to_integer<uint8_t>(frame[ip.transport]))) {
    return std::nullopt;
  }
  return read_network(frame.first(ip.end), ip.transport + 8, ip.v6, Quoted::kYes);
}

void rewrite_quote(Frame& frame, const Network& ip, const Network& quote, const Edit& edit) noexcept {
  const std::span<std::byte> bytes = frame.bytes();
  Delta outer;
  const Delta addresses = put_addresses(bytes, quote, edit);
  const Delta ports = put_ports(bytes, quote, edit);
  outer.add(addresses);
  outer.add(ports);
  if (!quote.v6) {
    std::byte* sum = bytes.data() + quote.start + 10;
    put16(sum, addresses.applied(load_big<uint16_t>(sum)), outer);
  }
  update_quoted_sum(bytes, quote, addresses, ports, outer);
  std::byte* sum = bytes.data() + ip.transport + 2;
  const bool is_partial = frame.offload.is_partial() && frame.offload.sum_start == ip.transport;
  if (!is_partial) store_big<uint16_t>(sum, outer.applied(load_big<uint16_t>(sum)));
}

std::optional<Ports> read_ports(std::span<const std::byte> frame, const Network& ip) noexcept {
  if (!ip.is_first) return std::nullopt;
  const std::byte* at = frame.data() + ip.transport;
  if (has_ports(ip.protocol) && ip.transport + 4 <= ip.end) {
    return Ports{load_big<uint16_t>(at), load_big<uint16_t>(at + 2)};
  }
  const bool is_icmp = ip.protocol == (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp);
  if (is_icmp && ip.transport + 8 <= ip.end && has_id(ip.v6, std::to_integer<uint8_t>(at[0]))) {
    return Ports{load_big<uint16_t>(at + 4), load_big<uint16_t>(at + 4)};
  }
  return std::nullopt;
}

}  // namespace ringtap::forward
