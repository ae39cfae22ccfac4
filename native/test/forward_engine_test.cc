#include <doctest/doctest.h>

#include "forward_frames.h"

using namespace ringtap;
using namespace ringtap::forward;
using namespace ringtap::forward::test;

namespace {

constexpr int64_t kSecond = 1'000'000'000;
const Address kClient = ipv4(0x0a010002), kIn = ipv4(0x0a010005), kOut = ipv4(0x0a020005), kServer = ipv4(0x0a020002);

struct Sent {
  uint16_t port;
  Bytes bytes;
  Ledger* ledger;
};

/// An engine with two ports, client and server behind them, and one rule.
struct Bench final : Output {
  std::vector<Port> ports = std::vector<Port>(2);
  Engine engine{ports, *this, nullptr};
  std::shared_ptr<std::array<Ledger, 2>> ledgers = std::make_shared<std::array<Ledger, 2>>();
  std::vector<Sent> sent;
  int64_t now = kSecond;

  Bench() {
    ports[0].mac = mac(1);
    ports[1].mac = mac(2);
    adopt({rule("one")});
    take();
  }
  Rule rule(const std::string& name) const {
    return {.name = name,
            .sides = {Side{.port = 0, .peer = kClient, .own = kIn}, Side{.port = 1, .peer = kServer, .own = kOut}},
            .ledgers = ledgers};
  }
  void adopt(std::vector<Rule> rules) {
    auto table = Table::create(std::move(rules));
    REQUIRE(table);
    engine.adopt(*table);
  }
  void send(uint16_t port, const Frame& frame, Ledger* ledger) override {
    sent.push_back({port, Bytes(frame.data, frame.data + frame.length), ledger});
    if (ledger != nullptr) ledger->egress.add();
  }
  /// What was sent since it was asked last.
  std::vector<Sent> take() {
    engine.flushed();
    return std::exchange(sent, {});
  }
  void receive(uint16_t port, const Bytes& bytes) {
    Bytes memory(kHeadroom + bytes.size());
    std::copy(bytes.begin(), bytes.end(), memory.begin() + kHeadroom);
    Frame frame{.data = memory.data() + kHeadroom, .length = static_cast<uint32_t>(bytes.size())};
    engine.receive(port, frame, now);
  }
  /// The server's answer to our question, or a question of the client's.
  void told(uint16_t port, const Address& who, const Mac& where, const Address& target, uint16_t operation) {
    Envelope envelope{.to = ports[port].mac, .from = where};
    if (operation == 1) {
      receive(port, neighbour_request(envelope, target, who));
    } else {
      receive(port, neighbour_reply(envelope, who, target, ports[port].mac, true));
    }
  }
  Bytes datagram(uint8_t ttl = 64, size_t data = 20, uint16_t fragment = 0) const {
    return frame_of({.source = kClient,
                     .destination = kIn,
                     .payload = udp(1000, 2000, data),
                     .ttl = ttl,
                     .fragment = fragment,
                     .to = ports[0].mac});
  }
  uint64_t dropped(Drop why) const { return (*ledgers)[0].drops[static_cast<size_t>(why)].get(); }
};

}  // namespace

TEST_CASE("a packet waits for its next hop, and goes there with the addresses of the rule") {
  Bench bench;
  bench.receive(0, bench.datagram());
  auto asked = bench.take();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].port == 1);
  CHECK(load_big<uint16_t>(asked[0].bytes.data() + 12) == kEtherArp);
  CHECK((*bench.ledgers)[0].waiting.get() == 1);

  bench.told(1, kServer, mac(22), kOut, 2);
  const auto sent = bench.take();
  REQUIRE(sent.size() == 1);
  const Network ip = network_of(sent[0].bytes);
  CHECK(ip.source(sent[0].bytes) == kOut);
  CHECK(ip.destination(sent[0].bytes) == kServer);
  CHECK(ip.ttl == 63);
  CHECK(has_right_sums(sent[0].bytes));
  CHECK(std::equal(sent[0].bytes.begin(), sent[0].bytes.begin() + 6, mac(22).begin()));
  CHECK(std::equal(sent[0].bytes.begin() + 6, sent[0].bytes.begin() + 12, mac(2).begin()));
  CHECK((*bench.ledgers)[0].waiting.get() == 0);
  CHECK((*bench.ledgers)[0].ingress.get() == 1);
  CHECK((*bench.ledgers)[0].egress.get() == 1);
}

TEST_CASE("of packets for a next hop that nobody has, sixteen wait, and all are counted") {
  Bench bench;
  for (int i = 0; i < 20; i++) bench.receive(0, bench.datagram());
  CHECK((*bench.ledgers)[0].waiting.get() == Neighbours::kMostWaiting);
  CHECK(bench.dropped(Drop::kUnresolved) == 4);
  for (int i = 0; i < 5; i++) {
    bench.now += Neighbours::kRetryNs;
    bench.engine.tick(bench.now);
  }
  std::vector<Sent> requests = bench.take();
  const auto errors =
      std::stable_partition(requests.begin(), requests.end(), [](const Sent& one) { return one.port == 1; });
  CHECK(errors - requests.begin() == 3);
  // Those that have waited are told of.
  CHECK(requests.end() - errors == Neighbours::kMostWaiting);
  CHECK((*bench.ledgers)[0].errors.get() == Neighbours::kMostWaiting);
  const Network ip = network_of(errors->bytes);
  CHECK(ip.source(errors->bytes) == kIn);
  CHECK(ip.destination(errors->bytes) == kClient);
  CHECK(load_big<uint16_t>(errors->bytes.data() + ip.transport) == 0x0301);
  CHECK(has_right_sums(errors->bytes));
  const auto quote = read_quote(errors->bytes, ip);
  REQUIRE(quote);
  CHECK(quote->source(errors->bytes) == kClient);  // as it came
  CHECK(quote->destination(errors->bytes) == kIn);
  CHECK(quote->ttl == 64);
  CHECK((*bench.ledgers)[0].waiting.get() == 0);
  CHECK(bench.dropped(Drop::kUnresolved) == 20);
}

TEST_CASE("ARP is answered for an address of a rule on its interface only, and for probes, too") {
  Bench bench;
  bench.told(0, kClient, mac(11), kIn, 1);
  auto answers = bench.take();
  REQUIRE(answers.size() == 1);
  const auto link = read_link(answers[0].bytes);
  const auto told = read_arp(answers[0].bytes, *link);
  REQUIRE(told);
  CHECK(told->kind == NeighbourTold::Kind::kReply);
  CHECK(told->sender == kIn);
  CHECK(told->mac == mac(1));
  bench.told(0, kClient, mac(11), kOut, 1);
  bench.told(0, kClient, mac(11), ipv4(0x0a010006), 1);
  CHECK(bench.take().empty());
  bench.receive(0, neighbour_request({.to = kBroadcast, .from = mac(12)}, kIn, std::nullopt));
  CHECK(bench.take().size() == 1);
}

TEST_CASE("a probe hears of somebody who has the address") {
  Bench bench;
  const Address wanted = ipv4(0x0a010007);
  bench.engine.probe(0, wanted);
  CHECK(bench.take().size() == 1);
  CHECK_FALSE(bench.engine.conflict(0, wanted));
  bench.told(0, wanted, mac(33), ipv4(0), 2);
  REQUIRE(bench.engine.conflict(0, wanted));
  CHECK(*bench.engine.conflict(0, wanted) == mac(33));
}

TEST_CASE("a packet whose time is over goes no further, and its sender is told by the address that it knows") {
  Bench bench;
  bench.receive(0, bench.datagram(1));
  const auto sent = bench.take();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].port == 0);
  const Network ip = network_of(sent[0].bytes);
  CHECK(ip.source(sent[0].bytes) == kIn);
  CHECK(ip.destination(sent[0].bytes) == kClient);
  CHECK(sent[0].bytes[ip.transport] == std::byte{11});
  CHECK(has_right_sums(sent[0].bytes));
  CHECK(bench.dropped(Drop::kTtl) == 1);
}

TEST_CASE("a packet that is too long is cut, or its sender hears how long it may be") {
  Bench bench;
  bench.ports[1].mtu = 1280;
  bench.receive(0, bench.datagram());
  bench.told(1, kServer, mac(22), kOut, 2);
  bench.take();
  bench.receive(0, bench.datagram(64, 1400, 0x4000));
  auto sent = bench.take();
  REQUIRE(sent.size() == 1);
  const Network ip = network_of(sent[0].bytes);
  CHECK(load_big<uint16_t>(sent[0].bytes.data() + ip.transport) == 0x0304);
  CHECK(load_big<uint16_t>(sent[0].bytes.data() + ip.transport + 6) == 1280);
  CHECK(bench.dropped(Drop::kTooBig) == 1);
  bench.receive(0, bench.datagram(64, 1400));
  sent = bench.take();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].ledger == nullptr);
  CHECK(sent[1].ledger == &(*bench.ledgers)[0]);
  CHECK((*bench.ledgers)[0].fragments.get() == 2);
}

TEST_CASE("an error of a router on the way reaches the client as one about what it has sent") {
  Bench bench;
  bench.told(0, kClient, mac(11), kIn, 1);
  bench.take();
  Made quoted{.source = kOut, .destination = kServer, .payload = udp(1000, 2000, 20)};
  const Bytes inner = frame_of(quoted);
  Made outer{.source = ipv4(0x0a030001), .destination = kOut, .carried = protocol::kIcmp, .to = mac(2)};
  outer.payload.reserve(200);
  outer.payload.resize(8);
  outer.payload[0] = std::byte{11};
  outer.payload.insert(outer.payload.end(), inner.begin() + 14, inner.end());
  bench.receive(1, frame_of(outer));
  bench.told(0, kClient, mac(11), kIn, 1);
  std::optional<Bytes> error;
  for (const Sent& one : bench.take()) {
    if (load_big<uint16_t>(one.bytes.data() + 12) == kEtherIpv4) error = one.bytes;
  }
  REQUIRE(error);
  const Network ip = network_of(*error);
  CHECK(ip.source(*error) == kIn);
  CHECK(ip.destination(*error) == kClient);
  const auto quote = read_quote(*error, ip);
  REQUIRE(quote);
  CHECK(quote->source(*error) == kClient);
  CHECK(quote->destination(*error) == kIn);
  CHECK(has_right_sums(*error));
}

TEST_CASE("VLAN tags stay, and the next hop is asked for in that VLAN") {
  Bench bench;
  Made made{.source = kClient, .destination = kIn, .payload = udp(1, 2, 4), .to = mac(1)};
  made.tags = {std::byte{0x81}, std::byte{0}, std::byte{0x60}, std::byte{7}};
  bench.receive(0, frame_of(made));
  const auto asked = bench.take();
  REQUIRE(asked.size() == 1);
  CHECK(load_big<uint32_t>(asked[0].bytes.data() + 12) == 0x81000007);
  const Envelope envelope{.to = mac(2), .from = mac(22), .tags = std::span(asked[0].bytes).subspan(12, 4)};
  bench.receive(1, neighbour_reply(envelope, kServer, kOut, mac(2), true));
  const auto sent = bench.take();
  REQUIRE(sent.size() == 1);
  CHECK(load_big<uint32_t>(sent[0].bytes.data() + 12) == 0x81006007);
  CHECK(has_right_sums(sent[0].bytes));
}

TEST_CASE("rules that stay the same keep their counters and their next hops while others come and go") {
  Bench bench;
  bench.told(1, kServer, mac(22), kOut, 2);
  bench.receive(0, bench.datagram());
  bench.told(1, kServer, mac(22), kOut, 2);
  bench.take();
  for (uint32_t i = 0; i < 100; i++) {
    Rule other{.name = "other",
               .sides = {Side{.port = 0, .peer = kClient, .own = ipv4(0x0a010100 + i)},
                         Side{.port = 1, .peer = kServer, .own = ipv4(0x0a020100 + i)}},
               .ledgers = std::make_shared<std::array<Ledger, 2>>()};
    bench.adopt({other, bench.rule("one")});
    bench.receive(0, bench.datagram());
  }
  CHECK((*bench.ledgers)[0].ingress.get() == 101);
  CHECK((*bench.ledgers)[0].egress.get() == 101);
}

TEST_CASE("rules that want the same packets are refused by name") {
  Bench bench;
  Rule other = bench.rule("two");
  const auto table = Table::create({bench.rule("one"), other});
  REQUIRE_FALSE(table);
  CHECK(table.error().code == Code::kBadOption);
  CHECK(table.error().message.find("\"one\"") != std::string::npos);
  CHECK(table.error().message.find("\"two\"") != std::string::npos);
}

TEST_CASE("neighbour solicitations are answered, and those with a low hop limit are not") {
  std::vector<Port> ports(2);
  ports[0].mac = mac(1);
  struct None final : Output {
    std::vector<Bytes> sent;
    void send(uint16_t, const Frame& frame, Ledger*) override {
      sent.emplace_back(frame.data, frame.data + frame.length);
    }
  } output;
  Engine engine(ports, output, nullptr);
  auto table = Table::create({Rule{.name = "six",
                                   .sides = {Side{.port = 0, .peer = ipv6(2), .own = ipv6(5)},
                                             Side{.port = 1, .peer = ipv6(0x102), .own = ipv6(0x105)}},
                                   .ledgers = std::make_shared<std::array<Ledger, 2>>()}});
  REQUIRE(table);
  engine.adopt(*table);
  output.sent.clear();
  const auto give = [&](Bytes bytes) {
    Frame frame{.data = bytes.data(), .length = static_cast<uint32_t>(bytes.size())};
    engine.receive(0, frame, kSecond);
  };
  Bytes request = neighbour_request({.to = request_group(ipv6(5)), .from = mac(9)}, ipv6(5), ipv6(2));
  give(request);
  REQUIRE(output.sent.size() == 1);
  const Network ip = network_of(output.sent[0]);
  CHECK(ip.source(output.sent[0]) == ipv6(5));
  CHECK(output.sent[0][ip.transport] == std::byte{136});
  CHECK(has_right_sums(output.sent[0]));
  request[14 + 7] = std::byte{64};
  give(request);
  CHECK(output.sent.size() == 1);
}
