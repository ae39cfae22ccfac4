// Batches made by hand, and the records that a meter makes of them, for the tests of native/flow.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <vector>

#include "core/desc.h"
#include "decode_frames.h"
#include "flow/meter.h"

namespace ringtap::flow {

using decode::Frame;
using decode::operator+;

constexpr int64_t kSecond = 1'000'000'000;

inline std::byte octet(uint32_t value) { return static_cast<std::byte>(value); }

inline Frame be32(uint32_t value) { return {octet(value >> 24), octet(value >> 16), octet(value >> 8), octet(value)}; }

/// An IPv4 packet, 10.0.0.1 to 10.0.0.2 where nothing else is said.
struct Ip {
  uint32_t source = 0x0a000001;
  uint32_t destination = 0x0a000002;
  uint8_t protocol = 17;
  uint16_t id = 0;
  uint16_t fragment = 0;  // flags and offset as they lie there
  uint8_t ttl = 64;
};

inline Frame packet4(const Ip& ip, const Frame& payload) {
  return Frame{octet(0x45), octet(0)} + decode::u16(20 + payload.size()) + decode::u16(ip.id) +
         decode::u16(ip.fragment) + Frame{octet(ip.ttl), octet(ip.protocol)} + decode::u16(0) + be32(ip.source) +
         be32(ip.destination) + payload;
}

inline Frame reversed(Ip ip, const Frame& payload) {
  std::swap(ip.source, ip.destination);
  return packet4(ip, payload);
}

inline Frame udp(uint16_t from, uint16_t to, size_t bytes = 4) {
  return decode::u16(from) + decode::u16(to) + decode::u16(8 + bytes) + decode::u16(0) + Frame(bytes);
}

struct Tcp {
  uint16_t from = 1000;
  uint16_t to = 80;
  uint32_t sequence = 1;
  uint8_t flags = 16;
  size_t bytes = 0;
  uint16_t window = 500;
};

inline Frame tcp(const Tcp& t) {
  return decode::u16(t.from) + decode::u16(t.to) + be32(t.sequence) + be32(0) + Frame{octet(0x50), octet(t.flags)} +
         decode::u16(t.window) + be32(0) + Frame(t.bytes);
}

inline Frame ether4(const Frame& packet) { return decode::ethernet("0800", packet); }

struct Timed {
  int64_t time;
  Frame frame;
  uint32_t wirelen = 0;  // 0: as captured
};

/// A batch in memory of its own.
struct Held {
  explicit Held(const std::vector<Timed>& packets, uint32_t link_type = kLinkEthernet)
      : count(static_cast<uint32_t>(packets.size())) {
    for (const Timed& each : packets) {
      offset.push_back(static_cast<uint32_t>(bytes.size()));
      caplen.push_back(static_cast<uint32_t>(each.frame.size()));
      wirelen.push_back(each.wirelen != 0 ? each.wirelen : static_cast<uint32_t>(each.frame.size()));
      time.push_back(static_cast<double>(each.time));
      bytes.insert(bytes.end(), each.frame.begin(), each.frame.end());
    }
    flags.resize(count);
    vlan.resize(count);
    rest.resize(count);
    batch = {.packets = {.offset = offset.data(),
                         .caplen = caplen.data(),
                         .wirelen = wirelen.data(),
                         .flags = flags.data(),
                         .vlan = vlan.data(),
                         .count = count,
                         .segment = bytes.data(),
                         .segment_bytes = bytes.size(),
                         .link_type = link_type},
             .time = time.data(),
             .rest = rest.data()};
  }

  uint32_t count;
  std::vector<uint32_t> offset, caplen, wirelen, flags;
  std::vector<uint16_t> vlan;
  std::vector<double> time, rest;
  Frame bytes;
  Batch batch;
};

/// Records, drained into memory of their own.
struct Drained {
  explicit Drained(Meter& meter) {
    const auto waiting = static_cast<uint32_t>(meter.table().records().waiting());
    const auto memory = std::make_unique<double[]>(Columns::bytes_for(Records::kPiece) / 8 + 1);
    // SAFETY: bytes are bytes.
    const Columns part = Columns::over(reinterpret_cast<std::byte*>(memory.get()), Records::kPiece);
    for (uint32_t count = 0; count < waiting;) {
      const uint32_t got = meter.table().records().drain(part, Records::kPiece);
      for (uint32_t i = 0; i < got; i++) rows.push_back(row(part, i));
      count += got;
    }
  }

  struct Row {
    double id, start, end, ip_bytes[2], frame_bytes[2], mean_gap[2];
    uint32_t src4, dst4, packets[2], retransmissions[2], out_of_order[2], server_rtt_us, client_rtt_us, tunnel_id,
        sampling;
    uint16_t src_port, dst_port, outer_vlan, inner_vlan, least[2], most[2], zero_windows[2], part, icmp_errors;
    uint8_t version, protocol, tcp_flags[2], ttl[2], tunnel_kind, state, icmp_type, icmp_code, known;
    Ended ended;
  };

  static Row row(const Columns& c, uint32_t i) {
    return {.id = c.id[i],
            .start = c.start[i],
            .end = c.end[i],
            .ip_bytes = {c.ip_bytes[0][i], c.ip_bytes[1][i]},
            .frame_bytes = {c.frame_bytes[0][i], c.frame_bytes[1][i]},
            .mean_gap = {c.mean_gap_ns[0][i], c.mean_gap_ns[1][i]},
            .src4 = c.src4[i],
            .dst4 = c.dst4[i],
            .packets = {c.packets[0][i], c.packets[1][i]},
            .retransmissions = {c.retransmissions[0][i], c.retransmissions[1][i]},
            .out_of_order = {c.out_of_order[0][i], c.out_of_order[1][i]},
            .server_rtt_us = c.server_rtt_us[i],
            .client_rtt_us = c.client_rtt_us[i],
            .tunnel_id = c.tunnel_id[i],
            .sampling = c.sampling[i],
            .src_port = c.src_port[i],
            .dst_port = c.dst_port[i],
            .outer_vlan = c.outer_vlan[i],
            .inner_vlan = c.inner_vlan[i],
            .least = {c.least_bytes[0][i], c.least_bytes[1][i]},
            .most = {c.most_bytes[0][i], c.most_bytes[1][i]},
            .zero_windows = {c.zero_windows[0][i], c.zero_windows[1][i]},
            .part = c.part[i],
            .icmp_errors = c.icmp_errors[i],
            .version = c.ip_version[i],
            .protocol = c.protocol[i],
            .tcp_flags = {c.tcp_flags[0][i], c.tcp_flags[1][i]},
            .ttl = {c.least_ttl[0][i], c.least_ttl[1][i]},
            .tunnel_kind = c.tunnel_kind[i],
            .state = c.state[i],
            .icmp_type = c.icmp_type[i],
            .icmp_code = c.icmp_code[i],
            .known = c.initiator_known[i],
            .ended = static_cast<Ended>(c.ended[i])};
  }

  std::vector<Row> rows;
};

inline std::unique_ptr<Meter> meter_of(const Options& options = {}) { return *Meter::make(options); }

/// What a meter says of packets, all flows ended at last.
inline std::vector<Drained::Row> metered(const std::vector<Timed>& packets, const Options& options = {}) {
  const auto meter = meter_of(options);
  meter->add(Held(packets).batch);
  meter->flush();
  return Drained(*meter).rows;
}

/// The sums that must be right whatever comes.
inline bool is_balanced(const Meter& meter) {
  const Stats& stats = meter.stats();
  uint64_t without = 0;
  for (const uint64_t each : stats.without_flow) without += each;
  const Table::Counts& counts = meter.table().counts();
  uint64_t ended = counts.quiet;
  for (size_t i = 0; i < kEndings; i++) {
    if (static_cast<Ended>(i) != Ended::kActive) ended += counts.records[i];
  }
  return stats.packets == stats.in_flows + stats.sampled_out + stats.without_memory + without &&
         counts.created == ended + meter.table().active();
}

}  // namespace ringtap::flow
