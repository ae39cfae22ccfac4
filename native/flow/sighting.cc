#include "flow/sighting.h"

#include <algorithm>

#include "decode/tunnel.h"
#include "decode/tunnel_headers.h"

namespace ringtap::flow {

namespace {

constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;

constexpr Class class_of(uint16_t ether_type) noexcept {
  switch (ether_type) {
    case 0x0806:
      return Class::kArp;
    case decode::kMplsType:
    case decode::kMplsMulticastType:
      return Class::kMpls;
    case 0x8863:
    case 0x8864:
      return Class::kPppoe;
    case 0x88cc:
      return Class::kLldp;
    default:
      return ether_type < 1536 ? Class::kLlc : Class::kOther;
  }
}

Class class_without_ip(const decode::Headers& found) noexcept {
  constexpr uint32_t kBad = decode::kCut | decode::kNoRoom | decode::kBadVersion | decode::kBadHeaderLength |
                            decode::kBadLength | decode::kOutside;
  if ((found.flags & decode::kUnknownLink) != 0) return Class::kUnknownLink;
  if ((found.flags & kBad) != 0) return Class::kMalformed;
  return class_of(found.ether_type);
}

/// May there be a tunnel in it? Most packets are told from those by one look.
bool may_be_tunnel(const decode::Headers& found) noexcept {
  if ((found.flags & decode::kFragment) != 0) return false;
  if (found.protocol == decode::kUdp && found.ip_version != 0) {
    return decode::kind_of_port(found.dst_port) != TunnelKind::kNone;
  }
  if (found.ip_version != 0) return found.protocol == decode::kGreProtocol;
  return found.ether_type == decode::kMplsType || found.ether_type == decode::kMplsMulticastType;
}

constexpr bool has_ports(uint8_t protocol) noexcept {
  using namespace decode;
  return protocol == kTcpProtocol || protocol == kUdp || protocol == kSctp || protocol == kDccp || protocol == kUdpLite;
}

/// Requests and answers that carry an identifier: 1 it asks, 2 it answers.
constexpr int echo(uint8_t protocol, uint8_t type) noexcept {
  if (protocol == kIcmp6) return type == 128 ? 1 : type == 129 ? 2 : 0;
  switch (type) {
    case 8:
    case 13:
    case 15:
    case 17:
      return 1;
    case 0:
    case 14:
    case 16:
    case 18:
      return 2;
    default:
      return 0;
  }
}

constexpr bool is_error(uint8_t protocol, uint8_t type) noexcept {
  if (protocol == kIcmp6) return type >= 1 && type <= 4;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

bool make_key(const decode::Headers& found, const decode::Bytes& bytes, uint16_t source_port, uint16_t destination_port,
              const Around& around, Key& key) noexcept {
  if (found.ip_version == 4) {
    return make_key4(found.src4, source_port, found.dst4, destination_port, around, key);
  }
  return make_key6(bytes.data + found.addresses6, source_port, destination_port, around, key);
}

}  // namespace

void Sightings::see(decode::Row& row, const TunnelRow* tunnel, uint32_t link_type, int64_t time,
                    Sighting& out) noexcept {
  out.time = time;
  out.frame_bytes = row.wirelen;
  TunnelRow told;
  if (tunnel != nullptr && tunnel->about != 0) [[unlikely]]
    told = *tunnel;
  if (decap_ && may_be_tunnel(row.headers)) [[unlikely]] {
    decode::Inner inner;
    TunnelRow about = told;
    if (decode::find_inner(row.bytes, row.wirelen, link_type, kAllTunnels, inner, about)) {
      const decode::Bytes bytes{row.bytes.data + inner.at, inner.caplen};
      const decode::Headers within = decode::decode_packet({bytes.data, bytes.size}, inner.wirelen, inner.link_type);
      if (within.ip_version != 0) {
        row.headers = within;
        row.bytes = bytes;
        told = about;
      }
    }
  }
  if (row.headers.ip_version == 0) [[unlikely]] {
    out.kind = class_without_ip(row.headers);
    return;
  }
  out.kind = Class::kFlow;
  see_ip(row, &told, time, out);
}

void Sightings::see_ip(const decode::Row& row, const TunnelRow* tunnel, int64_t time, Sighting& out) noexcept {
  const decode::Headers& found = row.headers;
  Around around{.protocol = found.protocol, .version = found.ip_version, .rate = out.rate};
  if (keyed_.vlan && found.vlan_count != 0) [[unlikely]] {
    around.outer_vlan = found.outer_tci & 0xfff;
    around.inner_vlan = found.inner_tci & 0xfff;
  }
  if (keyed_.tunnel && tunnel->about != 0) [[unlikely]] {
    around.tunnel_kind = static_cast<uint8_t>(tunnel->kind());
    around.tunnel_id = tunnel->id;
  }
  uint16_t source_port = found.src_port;
  uint16_t destination_port = found.dst_port;
  out.ip_bytes = found.total_length;
  out.ttl = found.ttl;
  out.is_icmp = false;
  out.quoted = {};
  out.starter = Starter::kAny;
  out.icmp_type = out.icmp_code = 0;
  out.is_tcp = (found.flags & decode::kTcp) != 0;
  if (out.is_tcp) {
    const uint8_t flags = found.tcp_flags;
    out.segment = {found.sequence, found.payload_length, found.window, flags};
    if ((flags & kSynFlag) != 0) out.starter = (flags & kAckFlag) != 0 ? Starter::kReceiver : Starter::kSender;
  } else if (found.protocol == kIcmp || found.protocol == kIcmp6) [[unlikely]] {
    see_icmp(found, row.bytes, out, source_port);
    destination_port = source_port;
  }
  if ((found.flags & decode::kFragment) != 0) [[unlikely]]
    join(found, row.bytes, around, time, source_port, destination_port);
  out.without_ports = has_ports(found.protocol) && (source_port | destination_port) == 0;
  out.from_b = make_key(found, row.bytes, source_port, destination_port, around, out.key);
}

/// Echoes are a conversation by their identifier; all else by type and code.
void Sightings::see_icmp(const decode::Headers& found, const decode::Bytes& bytes, Sighting& out,
                         uint16_t& ports) noexcept {
  ports = 0;
  if (found.fragment_offset != 0 || found.payload_caplen < 2) return;
  const uint64_t at = found.payload_offset;
  const uint8_t type = decode::pinned(bytes.u8(at));
  const uint8_t code = bytes.u8(at + 1);
  out.is_icmp = true;
  out.icmp_type = type;
  out.icmp_code = code;
  const int way = echo(found.protocol, type);
  if (way == 0) {
    ports = static_cast<uint16_t>(type << 8 | code);
  } else if (found.payload_caplen >= 6) {
    ports = bytes.u16(at + 4);
    out.starter = way == 1 ? Starter::kSender : Starter::kReceiver;
  }
  if (is_error(found.protocol, type) && found.payload_caplen > 8) {
    out.quoted = {bytes.data + at + 8, found.payload_caplen - 8};
  }
}

/// A fragment: the first one says which ports it has, the others are told.
void Sightings::join(const decode::Headers& found, const decode::Bytes& bytes, const Around& around, int64_t time,
                     uint16_t& source_port, uint16_t& destination_port) noexcept {
  Key key;
  const bool from_b = make_key(found, bytes, 0, 0, around, key);
  if (found.fragment_offset == 0) {
    fragments_.remember(key, found.fragment_id, from_b, time, source_port, destination_port);
  } else if (const auto ports = fragments_.find(key, found.fragment_id, from_b, time); ports.found) {
    source_port = ports.source;
    destination_port = ports.destination;
  }
}

bool Sightings::quoted(const decode::Bytes& bytes, const Key& around, Key& key) const noexcept {
  const decode::Headers found =
      decode::decode_packet({bytes.data, bytes.size}, static_cast<uint32_t>(bytes.size), kLinkRaw);
  if (found.ip_version == 0 || (found.flags & decode::kPorts) == 0) return false;
  make_key(found, bytes, found.src_port, found.dst_port,
           {.protocol = found.protocol,
            .version = found.ip_version,
            .tunnel_kind = around.tunnel_kind(),
            .rate = around.rate(),
            .outer_vlan = around.outer_vlan(),
            .inner_vlan = around.inner_vlan(),
            .tunnel_id = around.tunnel_id()},
           key);
  return true;
}

}  // namespace ringtap::flow
