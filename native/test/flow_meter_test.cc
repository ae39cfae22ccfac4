// What a meter makes of packets, each with the numbers that must come out.
#include <doctest/doctest.h>

#include <array>
#include <limits>

#include "flow_frames.h"

using namespace ringtap;
using namespace ringtap::flow;

namespace {

const Ip kUdpIp{};
const Ip kTcpIp{.protocol = 6};

}  // namespace

TEST_CASE("both directions are one record, from whoever spoke first") {
  const auto records = metered({
      {kSecond, ether4(reversed(kUdpIp, udp(53, 4000, 100)))},
      {2 * kSecond, ether4(packet4(kUdpIp, udp(4000, 53, 10)))},
      {4 * kSecond, ether4(reversed(kUdpIp, udp(53, 4000, 200)))},
  });
  REQUIRE(records.size() == 1);
  const auto& flow = records[0];
  CHECK(flow.src4 == 0x0a000002);
  CHECK(flow.dst4 == 0x0a000001);
  CHECK(flow.src_port == 53);
  CHECK(flow.dst_port == 4000);
  CHECK(flow.packets[0] == 2);
  CHECK(flow.packets[1] == 1);
  CHECK(flow.ip_bytes[0] == 128 + 228);
  CHECK(flow.ip_bytes[1] == 38);
  CHECK(flow.frame_bytes[0] == 128 + 228 + 28);
  CHECK(flow.least[0] == 128);
  CHECK(flow.most[0] == 228);
  CHECK(flow.mean_gap[0] == 3e9);
  CHECK(flow.start == 1e9);
  CHECK(flow.end == 4e9);
  CHECK(flow.ended == Ended::kFlushed);
  CHECK(flow.state == 1);
}

TEST_CASE("who sends SYN is the initiator, and an answer seen first has the ends the other way round") {
  const auto records = metered({{0, ether4(reversed(kTcpIp, tcp({80, 1000, 9, 0x12})))},
                                {kSecond, ether4(packet4(kTcpIp, tcp({1000, 80, 2, 0x10})))}});
  REQUIRE(records.size() == 1);
  CHECK(records[0].src_port == 1000);
  CHECK(records[0].packets[0] == 1);
  CHECK(records[0].packets[1] == 1);
}

TEST_CASE("a handshake gives both halves of the round trip") {
  const auto records = metered({{0, ether4(packet4(kTcpIp, tcp({1000, 80, 1, 2})))},
                                {30'000'000, ether4(reversed(kTcpIp, tcp({80, 1000, 9, 0x12})))},
                                {35'000'000, ether4(packet4(kTcpIp, tcp({1000, 80, 2, 0x10})))}});
  REQUIRE(records.size() == 1);
  CHECK(records[0].server_rtt_us == 30'000);
  CHECK(records[0].client_rtt_us == 5'000);
  CHECK(records[0].known == 1);
  CHECK(records[0].tcp_flags[0] == 0x12);
}

TEST_CASE("segments that come again and those that were overtaken are told apart") {
  const auto sent = [](int64_t at, uint32_t sequence, size_t bytes) {
    return Timed{at, ether4(packet4(kTcpIp, tcp({1000, 80, sequence, 16, bytes})))};
  };
  // 1–100, then 201–300, then what was overtaken, then the first again; a keep-alive is neither.
  const auto records =
      metered({sent(0, 1, 100), sent(1, 201, 100), sent(2, 101, 100), sent(3, 1, 100), sent(4, 300, 1)});
  REQUIRE(records.size() == 1);
  CHECK(records[0].out_of_order[0] == 1);
  CHECK(records[0].retransmissions[0] == 1);
}

TEST_CASE("a window of zero is counted, but not that of a reset") {
  const auto records = metered({{0, ether4(packet4(kTcpIp, tcp({1000, 80, 1, 16, 0, 0})))},
                                {1, ether4(packet4(kTcpIp, tcp({1000, 80, 1, 4, 0, 0})))}});
  REQUIRE(records.size() == 1);
  CHECK(records[0].zero_windows[0] == 1);
  CHECK(records[0].ended == Ended::kRst);
  CHECK(records[0].state == 2);
}

TEST_CASE("a closed flow takes stragglers for two seconds and ends then") {
  const auto meter = meter_of();
  meter->add(Held({{0, ether4(packet4(kTcpIp, tcp({1000, 80, 1, 0x11})))},
                   {1, ether4(reversed(kTcpIp, tcp({80, 1000, 1, 0x11})))},
                   {kSecond, ether4(packet4(kTcpIp, tcp({1000, 80, 2, 0x10})))}})
                 .batch);
  meter->advance(2 * kSecond);
  CHECK(meter->table().records().waiting() == 0);
  meter->advance(4 * kSecond);
  const auto records = Drained(*meter).rows;
  REQUIRE(records.size() == 1);
  CHECK(records[0].ended == Ended::kFin);
  CHECK(records[0].packets[0] == 2);
  CHECK(is_balanced(*meter));
}

TEST_CASE("ports that are used again after an end are another flow at once") {
  const auto records = metered({{0, ether4(packet4(kTcpIp, tcp({1000, 80, 1, 2})))},
                                {1, ether4(reversed(kTcpIp, tcp({80, 1000, 1, 0x14})))},
                                {2, ether4(packet4(kTcpIp, tcp({1000, 80, 77, 2})))}});
  REQUIRE(records.size() == 2);
  CHECK(records[0].ended == Ended::kRst);
  CHECK(records[0].packets[0] == 1);
  CHECK(records[1].packets[0] == 1);
  CHECK(records[0].id != records[1].id);
}

TEST_CASE("what is idle ends no later than two seconds after its timeout") {
  const auto meter = meter_of();
  meter->add(Held({{0, ether4(packet4(kUdpIp, udp(1, 2)))}}).batch);
  meter->advance(15 * kSecond - 1);
  CHECK(meter->table().records().waiting() == 0);
  meter->advance(15 * kSecond + 600'000'000);
  const auto records = Drained(*meter).rows;
  REQUIRE(records.size() == 1);
  CHECK(records[0].ended == Ended::kIdle);
  CHECK(meter->table().active() == 0);
}

TEST_CASE("a long flow is told in parts, each with what was new, and ends once") {
  const auto meter = meter_of();
  std::vector<Timed> packets;
  for (int64_t second = 0; second < 150; second += 5) {
    packets.push_back({second * kSecond, ether4(packet4(kUdpIp, udp(1, 2)))});
  }
  meter->add(Held(packets).batch);
  meter->advance(300 * kSecond);
  const auto records = Drained(*meter).rows;
  REQUIRE(records.size() == 3);
  uint32_t sum = 0;
  for (size_t i = 0; i < 3; i++) {
    CHECK(records[i].part == i);
    CHECK(records[i].id == records[0].id);
    CHECK(records[i].end - records[i].start <= 62e9);
    sum += records[i].packets[0];
  }
  CHECK(sum == 30);
  CHECK(records[0].ended == Ended::kActive);
  CHECK(records[2].ended == Ended::kIdle);
  CHECK(is_balanced(*meter));
}

TEST_CASE("a part is as long as the active timeout also where nothing comes for longer than that") {
  constexpr std::array<std::array<int64_t, 2>, 3> kCases{
      {{kSecond / 2, 7 * kSecond / 10}, {5 * kSecond, 7 * kSecond}, {kSecond / 2, 2 * kSecond}}};
  for (const auto& [active, gap] : kCases) {
    const auto meter = meter_of({.limits = {.active_ns = active}});
    std::vector<Timed> packets;
    for (int64_t i = 0; i < 40; i++) {
      packets.push_back({i * gap, ether4(packet4(kUdpIp, udp(1, 2)))});
      packets.push_back({i * gap + active / 4, ether4(packet4(kUdpIp, udp(1, 2)))});
    }
    meter->add(Held(packets).batch);
    meter->advance(40 * gap + 60 * kSecond);
    uint32_t sum = 0;
    for (const auto& record : Drained(*meter).rows) {
      CHECK(record.end - record.start <= static_cast<double>(active) + 0.6e9);
      sum += record.packets[0];
    }
    CHECK(sum == 80);
    CHECK(is_balanced(*meter));
  }
}

TEST_CASE("a flow that was told whole and says nothing more ends without a record") {
  const auto meter = meter_of({.limits = {.active_ns = 10 * kSecond, .idle_ns = 60 * kSecond}});
  meter->add(Held({{0, ether4(packet4(kUdpIp, udp(1, 2)))}}).batch);
  meter->advance(200 * kSecond);
  CHECK(Drained(*meter).rows.size() == 1);
  CHECK(meter->table().counts().quiet == 1);
  CHECK(is_balanced(*meter));
}

TEST_CASE("fragments are of the flow whose ports the first one has") {
  const Ip first{.protocol = 17, .id = 7, .fragment = 0x2000};
  const Ip second{.protocol = 17, .id = 7, .fragment = 3};
  const Ip strange{.protocol = 17, .id = 8, .fragment = 3};
  const auto records = metered({{0, ether4(packet4(first, udp(1000, 2000, 16)))},
                                {1, ether4(packet4(second, Frame(40)))},
                                {2, ether4(packet4(strange, Frame(40)))}});
  REQUIRE(records.size() == 2);
  CHECK(records[0].src_port == 1000);
  CHECK(records[0].packets[0] == 2);
  CHECK(records[0].ip_bytes[0] == 44 + 60);
  CHECK(records[1].src_port == 0);
}

TEST_CASE("an ICMP error is told to the flow that it quotes, and counted in one of its own") {
  const Frame quoted = packet4(kUdpIp, udp(4000, 53, 10));
  const Frame error = Frame{octet(3), octet(3)} + Frame(6) + quoted;
  const auto meter = meter_of();
  meter->add(Held({{0, ether4(quoted)},
                   {1, ether4(packet4({.source = 0x0a0000fe, .destination = 0x0a000001, .protocol = 1}, error))},
                   {2, ether4(packet4({.source = 0x0a0000fe, .destination = 0x0a000009, .protocol = 1},
                                      Frame{octet(11), octet(0)} + Frame(6) + packet4({.id = 1}, udp(9, 9))))}})
                 .batch);
  meter->flush();
  const auto records = Drained(*meter).rows;
  REQUIRE(records.size() == 3);
  CHECK(records[0].icmp_errors == 1);
  CHECK(records[0].icmp_type == 3);
  CHECK(records[0].icmp_code == 3);
  CHECK(records[0].packets[0] == 1);
  CHECK(records[1].protocol == 1);
  CHECK(meter->stats().icmp_attributed == 1);
  CHECK(meter->stats().icmp_strange == 1);
}

TEST_CASE("echo requests and answers with one identifier are a conversation") {
  const Ip icmp{.protocol = 1};
  const auto echo = [](uint8_t type, uint16_t id) {
    return Frame{octet(type), octet(0), octet(0), octet(0)} + decode::u16(id) + Frame(10);
  };
  const auto records = metered({{0, ether4(packet4(icmp, echo(8, 77)))},
                                {1, ether4(reversed(icmp, echo(0, 77)))},
                                {2, ether4(packet4(icmp, echo(8, 78)))}});
  REQUIRE(records.size() == 2);
  CHECK(records[0].packets[0] == 1);
  CHECK(records[0].packets[1] == 1);
  CHECK(records[0].icmp_type == 8);
  CHECK(records[0].src_port == 0);
}

TEST_CASE("VLANs and tunnels are part of what a flow is, unless they are not to be") {
  const Frame plain = packet4(kUdpIp, udp(1, 2));
  const std::vector<Timed> packets = {
      {0, ether4(plain)},
      {1, decode::ethernet("8100", decode::hex("0064 0800") + plain)},
      {2, decode::ethernet("88a8", decode::hex("00c8 8100 0064 0800") + plain)},
      {3, ether4(packet4({.source = 1, .destination = 2}, decode::u16(5) + decode::u16(4789) + decode::u16(500) +
                                                              decode::u16(0) + decode::hex("08000000 00002a00") +
                                                              ether4(plain)))},
  };
  const auto apart = metered(packets);
  REQUIRE(apart.size() == 4);
  CHECK(apart[1].outer_vlan == 100);
  CHECK(apart[2].outer_vlan == 200);
  CHECK(apart[2].inner_vlan == 100);
  CHECK(apart[3].tunnel_kind == static_cast<uint8_t>(TunnelKind::kVxlan));
  CHECK(apart[3].tunnel_id == 42);
  CHECK(apart[3].ip_bytes[0] == 32);
  const auto together = metered(packets, {.keyed = {.vlan = false, .tunnel = false}});
  REQUIRE(together.size() == 1);
  CHECK(together[0].packets[0] == 4);
  const auto outside = metered({packets[3]}, {.decap = false});
  REQUIRE(outside.size() == 1);
  CHECK(outside[0].dst_port == 4789);
}

TEST_CASE("what is no IP and what is damaged is counted by what it is") {
  const auto meter = meter_of();
  meter->add(Held({{0, decode::ethernet("0806", Frame(28))},
                   {0, decode::ethernet("88cc", Frame(28))},
                   {0, decode::ethernet("0026", Frame(38))},
                   {0, decode::ethernet("0800", Frame(20))},
                   {0, ether4(Frame{octet(0x45)})},
                   {0, Frame(3)},
                   {0, ether4(packet4(kUdpIp, Frame(2)))}})
                 .batch);
  const auto& stats = meter->stats();
  CHECK(stats.without_flow[static_cast<size_t>(Class::kArp)] == 1);
  CHECK(stats.without_flow[static_cast<size_t>(Class::kLldp)] == 1);
  CHECK(stats.without_flow[static_cast<size_t>(Class::kLlc)] == 1);
  CHECK(stats.without_flow[static_cast<size_t>(Class::kMalformed)] == 3);
  CHECK(stats.in_flows == 1);
  CHECK(stats.without_ports == 1);
  CHECK(is_balanced(*meter));
}

TEST_CASE("a packet that was cut counts as long as it was") {
  Frame whole = ether4(packet4(kUdpIp, udp(1, 2, 1000)));
  const auto size = static_cast<uint32_t>(whole.size());
  whole.resize(64);
  const auto records = metered({{0, whole, size}});
  REQUIRE(records.size() == 1);
  CHECK(records[0].ip_bytes[0] == 1028);
  CHECK(records[0].frame_bytes[0] == size);
  CHECK(records[0].src_port == 1);
}

TEST_CASE("sampling says its factor in each record, and counts what it left out") {
  std::vector<Timed> packets;
  for (uint16_t port = 1; port <= 4000; port++) {
    packets.push_back({port, ether4(packet4(kUdpIp, udp(port, 9)))});
    packets.push_back({port, ether4(reversed(kUdpIp, udp(9, port)))});
  }
  for (const bool by_flow : {false, true}) {
    Options options;
    (by_flow ? options.sample_flows : options.sample_packets) = 10;
    const auto meter = meter_of(options);
    meter->add(Held(packets).batch);
    meter->flush();
    CHECK(meter->stats().in_flows > 600);
    CHECK(meter->stats().in_flows < 1000);
    const auto records = Drained(*meter).rows;
    for (const auto& each : records) {
      CHECK(each.sampling == 10);
      if (by_flow) CHECK(each.packets[0] + each.packets[1] == 2);
    }
    CHECK(is_balanced(*meter));
  }
}

TEST_CASE("what interfaces of different rates see is in flows of its own") {
  std::vector<Timed> packets;
  for (int i = 0; i < 600; i++) packets.push_back({i, ether4(packet4(kUdpIp, udp(1, 9)))});
  Options options;
  options.sample_packets = 5;
  options.sample_interfaces = {{1, 1}, {2, 10}, {65535, 10}};
  const auto meter = meter_of(options);
  Held held(packets);
  const uint16_t numbers[] = {0, 1, 2, 3, 65535, 65534};
  std::vector<uint16_t> interfaces;
  for (size_t i = 0; i < packets.size(); i++) interfaces.push_back(numbers[i % 6]);
  held.batch.interface = interfaces.data();
  meter->add(held.batch);
  meter->flush();
  const auto records = Drained(*meter).rows;
  REQUIRE(records.size() == 3);
  uint32_t sum = 0;
  for (const auto& each : records) {
    sum += each.packets[0] * each.sampling;
    CHECK(each.packets[0] * each.sampling == (each.sampling == 1 ? 100 : each.sampling == 10 ? 200 : 300));
  }
  CHECK(sum == 600);
  CHECK(is_balanced(*meter));
}

TEST_CASE("times that go backwards, jump, or are none leave the sums right") {
  const auto meter = meter_of();
  const Frame frame = ether4(packet4(kUdpIp, udp(1, 2)));
  Held held({{100 * kSecond, frame},
             {90 * kSecond, frame},
             {5 * kSecond, frame},
             {1ll << 62, frame},
             {0, frame},
             {-(1ll << 62), frame},
             {101 * kSecond, frame},
             {102 * kSecond, frame}});
  held.time[4] = std::numeric_limits<double>::quiet_NaN();
  held.time[6] = std::numeric_limits<double>::infinity();
  meter->add(held.batch);
  meter->advance(INT64_MAX / 4);
  meter->flush();
  uint32_t sum = 0;
  for (const auto& each : Drained(*meter).rows) {
    sum += each.packets[0];
    CHECK(each.start <= each.end);
  }
  CHECK(sum == 8);
  CHECK(is_balanced(*meter));
}

TEST_CASE("a packet of an hour from now neither blocks nor keeps what comes after it") {
  const auto meter = meter_of();
  const Frame frame = ether4(packet4(kUdpIp, udp(1, 2)));
  meter->add(Held({{0, frame}, {3600 * kSecond, frame}, {kSecond, ether4(packet4(kUdpIp, udp(3, 4)))}}).batch);
  // The clock is back: the other flow ends in its time.
  meter->advance(10 * kSecond);
  const uint32_t before = meter->table().active();
  meter->advance(300 * kSecond);
  CHECK(before >= 1);
  CHECK(meter->table().active() == 0);
  CHECK(is_balanced(*meter));
}

TEST_CASE("each packet is told the flow that it is of, by an id that outlives its slot") {
  const auto meter = meter_of();
  const Held held({{0, ether4(packet4(kTcpIp, tcp({1000, 80, 1, 2})))},
                   {1, ether4(reversed(kTcpIp, tcp({80, 1000, 5, 0x12, 3})))},
                   {2, decode::ethernet("0806", Frame(28))}});
  std::vector<Placed> placed(3);
  meter->add(held.batch, placed);
  CHECK(placed[0].flow != 0);
  CHECK(placed[0].flow == placed[1].flow);
  CHECK(placed[0].slot == placed[1].slot);
  CHECK(placed[0].by_initiator);
  CHECK_FALSE(placed[1].by_initiator);
  CHECK(placed[1].payload_at == held.offset[1] + 14 + 20 + 20);
  CHECK(placed[1].payload_length == 3);
  CHECK(placed[2].flow == 0);
}
