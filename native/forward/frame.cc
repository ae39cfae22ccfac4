#include "forward/frame.h"

#include "core/byte_order.h"
#include "core/checksum.h"
#include "rewrite/packet.h"

namespace ringtap::forward {

namespace {

uint8_t byte_at(std::span<const std::byte> frame, size_t at) noexcept { return std::to_integer<uint8_t>(frame[at]); }

std::optional<Network> read_ipv4(std::span<const std::byte> frame, uint32_t start, Quoted quoted) noexcept {
  constexpr uint32_t kLeast = 20;
  if (frame.size() < start + size_t{kLeast}) return std::nullopt;
  const uint32_t header = (byte_at(frame, start) & 15u) * 4;
  const uint32_t total = load_big<uint16_t>(frame.data() + start + 2);
  const size_t there = frame.size() - start;
  if (byte_at(frame, start) >> 4 != 4 || header < kLeast || header > there || total < header) return std::nullopt;
  if (quoted == Quoted::kNo && total > there) return std::nullopt;
  const uint16_t fragment = load_big<uint16_t>(frame.data() + start + 6);
  Network ip;
  ip.start = start;
  ip.transport = start + header;
  ip.end = start + static_cast<uint32_t>(std::min<size_t>(total, there));
  ip.protocol = byte_at(frame, start + 9);
  ip.ttl = byte_at(frame, start + 8);
  ip.id = load_big<uint16_t>(frame.data() + start + 4);
  ip.more = (fragment & 0x2000) != 0;
  ip.is_first = (fragment & 0x1fff) == 0;
  ip.is_fragment = ip.more || !ip.is_first;
  ip.dont_fragment = (fragment & 0x4000) != 0;
  return ip;
}

std::optional<Network> read_ipv6(std::span<const std::byte> frame, uint32_t start, Quoted quoted) noexcept {
  constexpr uint32_t kHeader = 40;
  constexpr int kMostExtensions = 8;
  constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kDestination = 60;
  if (frame.size() < start + size_t{kHeader} || byte_at(frame, start) >> 4 != 6) return std::nullopt;
  const uint32_t payload = load_big<uint16_t>(frame.data() + start + 4);
  const size_t there = frame.size() - start - kHeader;
  if (quoted == Quoted::kNo && payload > there) return std::nullopt;
  Network ip;
  ip.v6 = true;
  ip.start = start;
  ip.end = start + kHeader + static_cast<uint32_t>(std::min<size_t>(payload, there));
  ip.ttl = byte_at(frame, start + 7);
  uint8_t next = byte_at(frame, start + 6);
  uint32_t at = start + kHeader;
  for (int i = 0;; i++) {
    const bool is_extension =
        next == kHopByHop || next == kRouting || next == kFragment || next == kAuthentication || next == kDestination;
    if (!is_extension || !ip.is_first) break;
    if (i == kMostExtensions || at + 8 > ip.end) return std::nullopt;
    uint32_t bytes = (byte_at(frame, at + 1) + 1u) * 8;
    if (next == kAuthentication) bytes = (byte_at(frame, at + 1) + 2u) * 4;
    if (next == kFragment) {
      bytes = 8;
      const uint16_t fragment = load_big<uint16_t>(frame.data() + at + 2);
      ip.more = (fragment & 1) != 0;
      ip.is_first = (fragment & 0xfff8) == 0;
      ip.is_fragment = ip.more || !ip.is_first;
      ip.id = load_big<uint32_t>(frame.data() + at + 4);
    }
    if (at + bytes > ip.end) return std::nullopt;
    next = byte_at(frame, at);
    at += bytes;
  }
  ip.protocol = next;
  ip.transport = at;
  return ip;
}

}  // namespace

std::optional<Link> read_link(std::span<const std::byte> frame) noexcept {
  if (frame.size() < kEthernetBytes) return std::nullopt;
  uint32_t at = kEthernetBytes;
  uint16_t type = load_big<uint16_t>(frame.data() + 12);
  while ((type == 0x8100 || type == 0x88a8) && at < kEthernetBytes + kMostTagBytes) {
    if (frame.size() < at + 4) return std::nullopt;
    type = load_big<uint16_t>(frame.data() + at + 2);
    at += 4;
  }
  return Link{.network = at, .type = type};
}

std::optional<Network> read_network(std::span<const std::byte> frame, uint32_t start, bool v6, Quoted quoted) noexcept {
  return v6 ? read_ipv6(frame, start, quoted) : read_ipv4(frame, start, quoted);
}

std::optional<uint32_t> sum_place(uint8_t protocol) noexcept { return rewrite::sum_place(protocol); }

bool is_icmp_error(bool v6, uint8_t type) noexcept {
  return v6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 11 || type == 12;
}

void find_partial_sum(Frame& frame) noexcept {
  const auto link = read_link(frame.bytes());
  if (!link || (link->type != kEtherIpv4 && link->type != kEtherIpv6)) return;
  const auto ip = read_network(frame.bytes(), link->network, link->type == kEtherIpv6);
  if (!ip || ip->is_fragment || (ip->protocol != protocol::kTcp && ip->protocol != protocol::kUdp)) return;
  const uint32_t place = *sum_place(ip->protocol);
  if (ip->transport + place + 2 > ip->end) return;
  const auto addresses = frame.bytes().subspan(ip->sources(), size_t{2} * ip->address_bytes());
  const uint64_t pseudo = checksum::pseudo_header(addresses, ip->protocol, ip->end - ip->transport);
  if (!checksum::is_partial(load_big<uint16_t>(frame.data + ip->transport + place), pseudo)) return;
  frame.offload = {.flags = Offload::kNeedsSum,
                   .sum_start = static_cast<uint16_t>(ip->transport),
                   .sum_offset = static_cast<uint16_t>(place)};
}

void complete_sum(Frame& frame) noexcept {
  const uint32_t start = frame.offload.sum_start;
  const uint32_t place = start + frame.offload.sum_offset;
  if (!frame.offload.is_partial() || place + 2 > frame.length || start > place) return;
  uint32_t end = frame.length;
  uint8_t carried = 0;
  if (const auto link = read_link(frame.bytes())) {
    const bool v6 = link->type == kEtherIpv6;
    const auto ip = v6 || link->type == kEtherIpv4 ? read_network(frame.bytes(), link->network, v6) : std::nullopt;
    if (ip && ip->end >= place + 2) {
      end = ip->end;
      carried = ip->protocol;
    }
  }
  // The field holds the sum of the pseudo-header, which belongs to it.
  uint16_t sum = checksum::of(checksum::sum({frame.data + start, end - start}));
  if (sum == 0 && carried != protocol::kTcp) sum = 0xffff;
  store_big<uint16_t>(frame.data + place, sum);
  frame.offload.flags &= static_cast<uint8_t>(~Offload::kNeedsSum);
}

}  // namespace ringtap::forward
