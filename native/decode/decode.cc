#include "decode/decode.h"

#include <algorithm>
#include <cstring>

#include "core/desc.h"
#include "core/untrusted.h"
#include "decode/flow_hash.h"
#include "decode/link.h"

namespace ringtap::decode {

namespace {

constexpr uint32_t kAhead = 16;    // packets whose heads are fetched before their turn
constexpr uint32_t kHeaders = 48;  // of most packets all headers end behind this byte, in the line that it is in

RINGTAP_INLINE uint32_t hash_of(const Packet& packet, const Headers& found) noexcept {
  // Of a datagram in pieces only the first has ports: all of them go without.
  const bool has_ports = (found.flags & (kPorts | kFragment)) == kPorts;
  const uint16_t src_port = has_ports ? found.src_port : 0;
  const uint16_t dst_port = has_ports ? found.dst_port : 0;
  if (found.ip_version == 4) {
    return static_cast<uint32_t>(
        flow_hash(flow_end4(found.src4, src_port), flow_end4(found.dst4, dst_port), found.protocol, 4));
  }
  const std::byte* addresses = packet.bytes.data + found.addresses6;
  return static_cast<uint32_t>(
      flow_hash(flow_end6(addresses, src_port), flow_end6(addresses + 16, dst_port), found.protocol, 6));
}

template <uint32_t kLinkType>
inline Headers headers_of(const Packet& packet) noexcept {
  Headers found;
  decode_link<kLinkType>(packet, found);
  if (found.ip_version != 0) [[likely]]
    found.flow_hash = hash_of(packet, found);
  return found;
}

/// Calls `work` with the link type as a constant; link types that are headed alike are one.
template <class Work>
auto with_link_type(uint32_t link_type, const Work& work) noexcept {
  switch (link_type) {
    case kLinkEthernet:
      return work.template operator()<kLinkEthernet>();
    case kLinkRaw:
    case kLinkIpv4:
    case kLinkIpv6:
      return work.template operator()<kLinkRaw>();
    case kLinkNull:
    case kLinkLoop:
      return work.template operator()<kLinkNull>();
    case kLinkPpp:
    case kLinkPppHdlc:
    case kLinkCiscoHdlc:
      return work.template operator()<kLinkPpp>();
    case kLinkLinuxSll:
      return work.template operator()<kLinkLinuxSll>();
    case kLinkLinuxSll2:
      return work.template operator()<kLinkLinuxSll2>();
    default:
      return work.template operator()<UINT32_MAX>();
  }
}

/// Packet i, its numbers read once; empty and false where it does not lie in the batch's memory.
inline bool packet_at(const Packets& packets, uint32_t i, Packet& out, uint32_t& offset) noexcept {
  offset = load_once(&packets.offset[i]);
  const uint32_t caplen = load_once(&packets.caplen[i]);
  out.wirelen = load_once(&packets.wirelen[i]);
  if (uint64_t{offset} + caplen > packets.segment_bytes) [[unlikely]]
    return false;
  out.bytes = {packets.segment + offset, caplen};
  out.has_tag = (load_once(&packets.flags[i]) & kFlagVlan) != 0;
  out.tag = out.has_tag ? load_once(&packets.vlan[i]) : uint16_t{0};
  return true;
}

inline uint32_t absolute(uint32_t offset, uint32_t at) noexcept { return at == kAbsent ? kAbsent : offset + at; }

/// What most packets do not have. WHY apart: it is zeroed for the whole batch, and then written where there is
/// something.
template <class T>
void clear(T* column, uint32_t count) noexcept {
  std::memset(column, 0, sizeof(T) * count);
}

void clear_rare(const Columns& to, uint32_t count) noexcept {
  clear(to.sequence, count);
  clear(to.acknowledgment, count);
  clear(to.window, count);
  clear(to.tcp_flags, count);
  clear(to.fragment_offset, count);
  clear(to.vlan_count, count);
  clear(to.outer_tpid, count);
  clear(to.outer_tci, count);
  clear(to.inner_tpid, count);
  clear(to.inner_tci, count);
}

inline void store_rare(const Columns& to, uint32_t i, const Headers& found) noexcept {
  if ((found.flags & kTcp) != 0) {
    to.sequence[i] = found.sequence;
    to.acknowledgment[i] = found.acknowledgment;
    to.window[i] = found.window;
    to.tcp_flags[i] = found.tcp_flags;
  }
  if (found.vlan_count != 0) [[unlikely]] {
    to.vlan_count[i] = found.vlan_count;
    to.outer_tpid[i] = found.outer_tpid;
    to.outer_tci[i] = found.outer_tci;
    to.inner_tpid[i] = found.inner_tpid;
    to.inner_tci[i] = found.inner_tci;
  }
  if (found.fragment_offset != 0) [[unlikely]]
    to.fragment_offset[i] = found.fragment_offset;
}

inline void store(const Columns& to, uint32_t i, const Headers& found, uint32_t offset) noexcept {
  to.flags[i] = found.flags;
  to.network_offset[i] = absolute(offset, found.network_offset);
  to.transport_offset[i] = absolute(offset, found.transport_offset);
  to.payload_offset[i] = absolute(offset, found.payload_offset);
  to.payload_length[i] = found.payload_length;
  to.payload_caplen[i] = found.payload_caplen;
  to.total_length[i] = found.total_length;
  to.src4[i] = found.src4;
  to.dst4[i] = found.dst4;
  to.fragment_id[i] = found.fragment_id;
  to.flow_hash[i] = found.flow_hash;
  to.ether_type[i] = found.ether_type;
  to.src_port[i] = found.src_port;
  to.dst_port[i] = found.dst_port;
  to.ip_version[i] = found.ip_version;
  to.ip_header_length[i] = found.ip_header_length;
  to.traffic_class[i] = found.traffic_class;
  to.ttl[i] = found.ttl;
  to.protocol[i] = found.protocol;
  store_rare(to, i, found);
}

/// The place of packet i may be wrong by its turn; to fetch it does no harm.
inline void fetch(const Packets& packets, uint32_t i) noexcept {
  const uint32_t ahead = load_once(&packets.offset[i]);
  if (ahead >= packets.segment_bytes) return;
  prefetch(packets.segment + ahead);
  prefetch(packets.segment + ahead + kHeaders);
}

template <uint32_t kLinkType>
void fill_rows(const Packets packets, uint32_t from, uint32_t count, Row* rows) noexcept {
  for (uint32_t i = from; i < from + count; i++) {
    if (i + kAhead < packets.count) fetch(packets, i + kAhead);
    Row& row = rows[i - from];
    row.headers = {};
    Packet packet;
    uint32_t offset = 0;
    if (!packet_at(packets, i, packet, offset)) [[unlikely]] {
      row.headers.flags = kOutside;
      row.bytes = {};
      row.wirelen = 0;
      continue;
    }
    decode_link<kLinkType>(packet, row.headers);
    row.bytes = packet.bytes;
    row.wirelen = static_cast<uint32_t>(packet.wirelen);
  }
}

template <uint32_t kLinkType>
void fill(const Packets packets, const Columns columns, uint32_t count) noexcept {
  clear_rare(columns, count);
  for (uint32_t i = 0; i < count; i++) {
    if (i + kAhead < count) fetch(packets, i + kAhead);
    Packet packet;
    uint32_t offset = 0;
    if (!packet_at(packets, i, packet, offset)) [[unlikely]] {
      Headers none;
      none.flags = kOutside;
      store(columns, i, none, 0);
      continue;
    }
    const Headers found = headers_of<kLinkType>(packet);
    store(columns, i, found, offset);
    if (found.ip_version == 6) {
      std::memcpy(&columns.src6[i], packet.bytes.data + found.addresses6, sizeof(Address6));
      std::memcpy(&columns.dst6[i], packet.bytes.data + found.addresses6 + sizeof(Address6), sizeof(Address6));
    }
  }
}

}  // namespace

Columns Columns::over(std::byte* memory, uint32_t capacity) noexcept {
  Columns made;
  made.capacity = capacity;
  const auto take = [&memory, capacity]<class T>(T*& column) {
    // SAFETY: the widest columns come first, so that each is aligned as the memory is.
    column = reinterpret_cast<T*>(memory);
    memory += sizeof(T) * capacity;
  };
  take(made.flags);
  take(made.network_offset);
  take(made.transport_offset);
  take(made.payload_offset);
  take(made.payload_length);
  take(made.payload_caplen);
  take(made.total_length);
  take(made.src4);
  take(made.dst4);
  take(made.fragment_id);
  take(made.sequence);
  take(made.acknowledgment);
  take(made.flow_hash);
  take(made.ether_type);
  take(made.outer_tpid);
  take(made.outer_tci);
  take(made.inner_tpid);
  take(made.inner_tci);
  take(made.fragment_offset);
  take(made.src_port);
  take(made.dst_port);
  take(made.window);
  take(made.vlan_count);
  take(made.ip_version);
  take(made.ip_header_length);
  take(made.traffic_class);
  take(made.ttl);
  take(made.protocol);
  take(made.tcp_flags);
  take(made.src6);
  take(made.dst6);
  return made;
}

Headers decode_packet(std::span<const std::byte> bytes, uint32_t wirelen, uint32_t link_type) noexcept {
  const Packet packet{.bytes = {bytes.data(), bytes.size()}, .wirelen = wirelen};
  return with_link_type(link_type, [&]<uint32_t kLinkType>() { return headers_of<kLinkType>(packet); });
}

void decode_rows(const Packets& packets, uint32_t from, uint32_t count, Row* rows) noexcept {
  with_link_type(packets.link_type, [&]<uint32_t kLinkType>() { fill_rows<kLinkType>(packets, from, count, rows); });
}

uint32_t decode_batch(const Packets& packets, const Columns& columns) noexcept {
  const uint32_t count = std::min(packets.count, columns.capacity);
  with_link_type(packets.link_type, [&]<uint32_t kLinkType>() { fill<kLinkType>(packets, columns, count); });
  return count;
}

}  // namespace ringtap::decode
