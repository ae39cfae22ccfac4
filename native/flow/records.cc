#include "flow/records.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace ringtap::flow {

namespace {

/// Calls `work` with each column, in the order in which they lie.
template <class C, class Work>
void for_each(C& columns, const Work& work) noexcept {
  auto& c = columns;
  const auto pair = [&](auto& both) {
    work(both[0]);
    work(both[1]);
  };
  work(c.id);
  work(c.start);
  work(c.end);
  pair(c.ip_bytes);
  pair(c.frame_bytes);
  pair(c.mean_gap_ns);
  work(c.src4);
  work(c.dst4);
  pair(c.packets);
  pair(c.retransmissions);
  pair(c.out_of_order);
  work(c.server_rtt_us);
  work(c.client_rtt_us);
  work(c.tunnel_id);
  work(c.sampling);
  work(c.src_port);
  work(c.dst_port);
  work(c.outer_vlan);
  work(c.inner_vlan);
  pair(c.least_bytes);
  pair(c.most_bytes);
  pair(c.zero_windows);
  work(c.part);
  work(c.icmp_errors);
  work(c.ip_version);
  work(c.protocol);
  pair(c.tcp_flags);
  pair(c.least_ttl);
  work(c.tunnel_kind);
  work(c.ended);
  work(c.state);
  work(c.icmp_type);
  work(c.icmp_code);
  work(c.initiator_known);
  work(c.src6);
  work(c.dst6);
}

void store_address6(const Key& key, size_t end, decode::Address6& out) noexcept {
  std::byte* at = out.data();
  for (size_t i = 0; i < 2; i++) {
    const uint64_t word = key.words[end * 2 + i];
    at = store(at, kHostIsBig ? word : swap_bytes(word));
  }
}

double mean_gap(const Direction& way) noexcept {
  if (way.packets < 2) return 0;
  return static_cast<double>(way.last_ns - way.first_ns) / (way.packets - 1);
}

/// What one end has sent, as column `side` of the pairs.
void store_way(const Columns& to, uint32_t i, uint32_t side, const Direction& way) noexcept {
  to.ip_bytes[side][i] = static_cast<double>(way.ip_bytes);
  to.frame_bytes[side][i] = static_cast<double>(way.frame_bytes);
  to.mean_gap_ns[side][i] = mean_gap(way);
  to.packets[side][i] = way.packets;
  to.retransmissions[side][i] = way.retransmissions;
  to.out_of_order[side][i] = way.out_of_order;
  to.least_bytes[side][i] = way.packets == 0 ? uint16_t{0} : way.least_bytes;
  to.most_bytes[side][i] = way.most_bytes;
  to.zero_windows[side][i] = way.zero_windows;
  to.tcp_flags[side][i] = way.tcp_flags;
  to.least_ttl[side][i] = way.packets == 0 ? uint8_t{0} : way.least_ttl;
}

uint8_t phase(const Flow& flow) noexcept {
  if (flow.is_closed() || flow.is_finished()) return 2;
  if (flow.key.protocol() == decode::kTcpProtocol) {
    return (flow.state() & kSyn) == 0 || (flow.state() & kOpened) != 0 ? 1 : 0;
  }
  return flow.way[0].packets != 0 && flow.way[1].packets != 0 ? 1 : 0;
}

constexpr bool is_icmp(uint8_t protocol) noexcept { return protocol == 1 || protocol == 58; }

}  // namespace

Columns Columns::over(std::byte* memory, uint32_t capacity) noexcept {
  Columns made;
  for_each(made, [&memory, capacity]<class T>(T*& column) {
    // SAFETY: the widest columns come first, so that each is aligned as the memory is.
    column = reinterpret_cast<T*>(memory);
    memory += sizeof(T) * capacity;
  });
  return made;
}

/// The piece that has room; null where there is no memory.
Records::Piece* Records::last() noexcept {
  if (!pieces_.empty() && pieces_.back().count < kPiece) return &pieces_.back();
  try {
    auto memory = spare_ != nullptr ? std::move(spare_) : std::make_unique_for_overwrite<std::byte[]>(piece_bytes());
    const Columns columns = Columns::over(memory.get(), kPiece);
    std::byte* const beginnings = memory.get() + Columns::bytes_for(kPiece);
    pieces_.push_back({.memory = std::move(memory), .columns = columns, .beginnings = beginnings});
    return &pieces_.back();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void Records::add(const Flow& flow, const Side& side, Ended ended, uint32_t sampling, int64_t epoch_ns,
                  const std::byte* beginnings) noexcept {
  Piece* piece = waiting_ < most_ ? last() : nullptr;
  if (piece == nullptr) [[unlikely]] {
    lost_++;
    return;
  }
  const Columns& to = piece->columns;
  const uint32_t i = piece->count++;
  waiting_++;
  const Key& key = flow.key;
  const size_t source = flow.initiator();
  to.id[i] = static_cast<double>(flow.id);
  to.start[i] = static_cast<double>(flow.first_ns() - epoch_ns);
  to.end[i] = static_cast<double>(flow.last_ns() - epoch_ns);
  store_way(to, i, 0, flow.way[source]);
  store_way(to, i, 1, flow.way[source ^ 1]);
  to.ip_version[i] = key.version();
  if (key.version() == 4) {
    to.src4[i] = static_cast<uint32_t>(key.words[source * 2]);
    to.dst4[i] = static_cast<uint32_t>(key.words[(source ^ 1) * 2]);
  } else {
    to.src4[i] = to.dst4[i] = 0;
    store_address6(key, source, to.src6[i]);
    store_address6(key, source ^ 1, to.dst6[i]);
  }
  to.server_rtt_us[i] = flow.server_rtt_us;
  to.client_rtt_us[i] = flow.client_rtt_us;
  to.tunnel_id[i] = key.tunnel_id();
  to.sampling[i] = sampling;
  const bool has_ports = !is_icmp(key.protocol());
  to.src_port[i] = has_ports ? (source == 0 ? key.port_a() : key.port_b()) : uint16_t{0};
  to.dst_port[i] = has_ports ? (source == 0 ? key.port_b() : key.port_a()) : uint16_t{0};
  to.outer_vlan[i] = key.outer_vlan();
  to.inner_vlan[i] = key.inner_vlan();
  to.part[i] = side.part;
  to.icmp_errors[i] = side.icmp_errors;
  to.protocol[i] = key.protocol();
  to.tunnel_kind[i] = key.tunnel_kind();
  to.ended[i] = static_cast<uint8_t>(ended);
  to.state[i] = phase(flow);
  to.icmp_type[i] = side.icmp_type;
  to.icmp_code[i] = side.icmp_code;
  to.initiator_known[i] = (flow.state() & kSyn) != 0 ? 1 : 0;
  if (beginnings == nullptr) return;
  std::byte* const at = piece->beginnings + size_t{i} * 2 * beginning_bytes_;
  std::memcpy(at, beginnings + source * beginning_bytes_, beginning_bytes_);
  std::memcpy(at + beginning_bytes_, beginnings + (source ^ 1) * beginning_bytes_, beginning_bytes_);
}

uint32_t Records::drain(const Columns& into, uint32_t capacity, std::byte* beginnings) noexcept {
  if (pieces_.empty()) return 0;
  Piece& first = pieces_.front();
  const uint32_t count = std::min(capacity, first.count - taken_);
  Columns from = first.columns;
  const uint32_t skipped = taken_;
  // Both in the same order: one gives the source of each copy, the other one where it goes.
  const std::byte* sources[64];
  size_t n = 0;
  for_each(from, [&]<class T>(T*& column) { sources[n++] = reinterpret_cast<const std::byte*>(column + skipped); });
  Columns to = into;
  n = 0;
  for_each(to, [&]<class T>(T*& column) { std::memcpy(column, sources[n++], sizeof(T) * count); });
  if (beginnings != nullptr) {
    const size_t each = 2 * beginning_bytes_;
    std::memcpy(beginnings, first.beginnings + skipped * each, count * each);
  }
  taken_ += count;
  waiting_ -= count;
  if (taken_ == first.count) {
    spare_ = std::move(first.memory);
    pieces_.pop_front();
    taken_ = 0;
  }
  return count;
}

}  // namespace ringtap::flow
