#include "forward/rewrite.h"

#include "core/byte_order.h"
#include "core/checksum.h"
#include "rewrite/packet.h"

namespace ringtap::forward {

namespace {

using rewrite::End;
using rewrite::Packet;

rewrite::Layout layout_of(const Network& ip) noexcept {
  return {.v6 = ip.v6,
          .has_transport = ip.is_first,
          .protocol = ip.protocol,
          .network = ip.start,
          .transport = ip.transport,
          .end = ip.end};
}

void apply(const Edit& edit, Packet& packet) noexcept {
  packet.set_address(End::kSource, edit.source.span());
  packet.set_address(End::kDestination, edit.destination.span());
  if (packet.has_ports()) {
    if (edit.source_port) packet.set_port(End::kSource, *edit.source_port);
    if (edit.destination_port) packet.set_port(End::kDestination, *edit.destination_port);
  } else if (packet.has_id()) {
    const auto id = edit.source_port ? edit.source_port : edit.destination_port;
    if (id) packet.set_id(*id);
  }
  if (edit.ttl) packet.set_ttl(*edit.ttl);
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
  Packet packet(frame.bytes(), layout_of(ip));
  apply(edit, packet);
  const auto sum = packet.transport_sum();
  const bool is_partial = sum && frame.offload.is_partial() && frame.offload.sum_start == ip.transport &&
                          frame.offload.sum_start + frame.offload.sum_offset == static_cast<int>(*sum);
  packet.finish(is_partial ? Packet::Sum::kPartial : Packet::Sum::kWhole);
}

std::optional<Network> read_quote(std::span<const std::byte> frame, const Network& ip) noexcept {
  if (ip.protocol != (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp) || ip.is_fragment) return std::nullopt;
  if (ip.transport + 8 > ip.end || !is_icmp_error(ip.v6, std::to_integer<uint8_t>(frame[ip.transport]))) {
    return std::nullopt;
  }
  return read_network(frame.first(ip.end), ip.transport + 8, ip.v6, Quoted::kYes);
}

void rewrite_quote(Frame& frame, const Network& ip, const Network& quote, const Edit& edit) noexcept {
  Packet packet(frame.bytes(), layout_of(quote));
  apply(edit, packet);
  packet.finish(Packet::Sum::kWhole);
  std::byte* sum = frame.data + ip.transport + 2;
  const bool is_partial = frame.offload.is_partial() && frame.offload.sum_start == ip.transport;
  if (!is_partial) store_big<uint16_t>(sum, packet.changed().applied(load_big<uint16_t>(sum)));
}

std::optional<Ports> read_ports(std::span<const std::byte> frame, const Network& ip) noexcept {
  if (!ip.is_first) return std::nullopt;
  const std::byte* at = frame.data() + ip.transport;
  if (rewrite::has_ports(ip.protocol) && ip.transport + 4 <= ip.end) {
    return Ports{load_big<uint16_t>(at), load_big<uint16_t>(at + 2)};
  }
  const bool is_icmp = ip.protocol == (ip.v6 ? protocol::kIcmp6 : protocol::kIcmp);
  if (is_icmp && ip.transport + 8 <= ip.end && rewrite::has_id(ip.v6, std::to_integer<uint8_t>(at[0]))) {
    return Ports{load_big<uint16_t>(at + 4), load_big<uint16_t>(at + 4)};
  }
  return std::nullopt;
}

}  // namespace ringtap::forward
