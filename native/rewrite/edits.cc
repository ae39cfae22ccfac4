#include "rewrite/edits.h"

#include <algorithm>
#include <cstring>

#include "core/byte_order.h"
#include "core/checksum.h"
#include "decode/decode.h"
#include "rewrite/packet.h"

namespace ringtap::rewrite {

namespace {

constexpr size_t kMacs = 12;
constexpr size_t kTag = 4;

bool is_tag(uint16_t type) noexcept { return type == 0x8100 || type == 0x88a8; }

/// Whether the address begins as the network does.
bool is_in(const Network& network, const std::byte* address) noexcept {
  const size_t whole = network.bits / 8;
  if (!std::equal(address, address + whole, network.address.begin())) return false;
  const uint32_t rest = network.bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::byte>(0xff00u >> rest);
  return ((address[whole] ^ network.address[whole]) & mask) == std::byte{0};
}

/// The address with the network's bits in front.
void move_to(const Network& network, std::byte* address) noexcept {
  for (uint32_t i = 0; i < network.width(); i++) {
    const int bits = std::clamp(static_cast<int>(network.bits) - static_cast<int>(8 * i), 0, 8);
    const auto mask = static_cast<std::byte>(0xff00u >> bits);
    address[i] = (address[i] & ~mask) | (network.address[i] & mask);
  }
}

/// Where the packet lies that the outermost IP header begins; nothing where there is none, or not all of it.
std::optional<Layout> layout_of(std::span<const std::byte> frame, const decode::Headers& headers) noexcept {
  if (headers.ip_version == 0) return std::nullopt;
  const bool v6 = headers.ip_version == 6;
  if (size_t{headers.network_offset} + (v6 ? 40 : 20) > frame.size()) return std::nullopt;
  const bool has_transport = headers.fragment_offset == 0 && headers.transport_offset != decode::kAbsent;
  return Layout{.v6 = v6,
                .has_transport = has_transport,
                .protocol = headers.protocol,
                .network = headers.network_offset,
                .transport = has_transport ? headers.transport_offset : 0,
                .end = static_cast<uint32_t>(frame.size())};
}

void map(Packet& packet, const std::vector<Mapping>& mappings) noexcept {
  for (const End end : {End::kSource, End::kDestination}) {
    const auto address = packet.address(end);
    for (const Mapping& mapping : mappings) {
      if (mapping.from.width() != address.size() || !is_in(mapping.from, address.data())) continue;
      std::array<std::byte, 16> after{};
      std::copy(address.begin(), address.end(), after.begin());
      move_to(mapping.to, after.data());
      packet.set_address(end, after);
      break;
    }
  }
}

/// A checksum that its sender has left to the NIC: nobody tells the next one.
class PartialSum {
 public:
  /// Before anything changes.
  PartialSum(std::span<std::byte> frame, const Packet& packet, const decode::Headers& headers) noexcept
      : frame_(frame), packet_(packet), headers_(headers) {
    if (headers.protocol != decode::kTcpProtocol && headers.protocol != decode::kUdp) return;
    at_ = packet.transport_sum();
    if (at_ && !checksum::is_partial(load_big<uint16_t>(frame.data() + *at_), packet.pseudo_header(bytes()))) at_ = {};
  }
  bool is_there() const noexcept { return at_.has_value(); }

  /// Sums up anew, where all that it covers is there.
  void complete() noexcept {
    if (!at_ || (headers_.flags & decode::kFragment) != 0) return;
    const uint32_t start = headers_.transport_offset;
    if (size_t{start} + bytes() > frame_.size() || *at_ + 2 > start + bytes()) return;
    store_big(frame_.data() + *at_, uint16_t{0});
    const auto covered = frame_.subspan(start, bytes());
    const uint16_t sum = checksum::of(packet_.pseudo_header(bytes()) + checksum::sum(covered));
    store_big(frame_.data() + *at_, sum == 0 && headers_.protocol == decode::kUdp ? uint16_t{0xffff} : sum);
  }

 private:
  /// From the transport header to the end of the packet, as IP has it.
  uint32_t bytes() const noexcept {
    const uint32_t end = headers_.network_offset + headers_.total_length;
    return end > headers_.transport_offset ? end - headers_.transport_offset : 0;
  }

  const std::span<std::byte> frame_;
  const Packet& packet_;
  const decode::Headers& headers_;
  std::optional<uint32_t> at_;
};

/// @returns whether the packet goes on: not if its time is over
bool edit_ip(const Edits& edits, std::span<std::byte> frame, uint32_t wirelen) noexcept {
  const bool has_ports = edits.src_port || edits.dst_port;
  if (edits.addresses.empty() && !has_ports && !edits.ttl && !edits.decrement_ttl && !edits.dscp) return true;
  const decode::Headers headers = decode::decode_packet(frame, wirelen, 1);
  const auto layout = layout_of(frame, headers);
  if (!layout) return true;
  if (edits.decrement_ttl && headers.ttl <= 1) return false;
  Packet packet(frame, *layout);
  PartialSum partial(frame, packet, headers);
  map(packet, edits.addresses);
  if ((headers.flags & decode::kPorts) != 0 && packet.has_ports()) {
    if (edits.src_port) packet.set_port(End::kSource, *edits.src_port);
    if (edits.dst_port) packet.set_port(End::kDestination, *edits.dst_port);
  }
  if (edits.dscp) packet.set_dscp(*edits.dscp);
  if (edits.ttl) packet.set_ttl(*edits.ttl);
  if (edits.decrement_ttl) packet.set_ttl(static_cast<uint8_t>(headers.ttl - 1));
  packet.finish(partial.is_there() ? Packet::Sum::kPartial : Packet::Sum::kWhole);
  partial.complete();
  return true;
}

std::span<std::byte> edit_tag(const Edits& edits, std::span<std::byte> room, std::span<std::byte> frame) noexcept {
  const bool is_tagged = frame.size() >= kMacs + kTag + 2 && is_tag(load_big<uint16_t>(frame.data() + kMacs));
  switch (edits.vlan) {
    case Vlan::kSet:
      if (is_tagged) store_big(frame.data() + kMacs + 2, edits.vlan_tci);
      return frame;
    case Vlan::kPop:
      if (!is_tagged) return frame;
      std::memmove(frame.data() + kTag, frame.data(), kMacs);
      return frame.subspan(kTag);
    case Vlan::kPush: {
      std::memmove(room.data(), frame.data(), kMacs);
      store_big(store_big(room.data() + kMacs, uint16_t{0x8100}), edits.vlan_tci);
      return room;
    }
    default:
      return frame;
  }
}

}  // namespace

bool Edits::empty() const noexcept {
  return !src_mac && !dst_mac && vlan == Vlan::kKeep && addresses.empty() && !src_port && !dst_port && !ttl &&
         !decrement_ttl && !dscp;
}

std::span<std::byte> apply(const Edits& edits, std::span<std::byte> room, uint32_t wirelen) noexcept {
  std::span<std::byte> frame = room.subspan(std::min(kHeadroom, room.size()));
  if (frame.size() < kMacs + 2) return frame;
  if (!edit_ip(edits, frame, wirelen)) return {};
  if (edits.dst_mac) std::copy(edits.dst_mac->begin(), edits.dst_mac->end(), frame.begin());
  if (edits.src_mac) std::copy(edits.src_mac->begin(), edits.src_mac->end(), frame.begin() + 6);
  return edit_tag(edits, room, frame);
}

}  // namespace ringtap::rewrite
