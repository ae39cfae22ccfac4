#include <doctest/doctest.h>

#include "forward_frames.h"

using namespace ringtap;
using namespace ringtap::forward;
using namespace ringtap::forward::test;

namespace {

const Address kBalancer = ipv4(0x0a010002), kOwn = ipv4(0x0a010005);

/// GENEVE as a gateway load balancer sends it: three options, and an IPv4 packet.
Bytes datagram(const std::vector<uint32_t>& options, std::span<const std::byte> inner, uint16_t type = kEtherIpv4) {
  Bytes made = udp(40000, kGenevePort, 8 + options.size() * 4);
  std::byte* at = made.data() + 8;
  store_big<uint16_t>(at, static_cast<uint16_t>(options.size() << 8));
  store_big<uint16_t>(at + 2, type);
  store_big<uint32_t>(at + 4, 0x12345600);
  for (size_t i = 0; i < options.size(); i++) store_big<uint32_t>(at + 8 + i * 4, options[i]);
  made.insert(made.end(), inner.begin(), inner.end());
  store_big<uint16_t>(made.data() + 4, static_cast<uint16_t>(made.size()));
  return made;
}

const std::vector<uint32_t> kOptions = {0x01080102, 0x11111111, 0x22222222, 0x01080202,
                                        0x33333333, 0x44444444, 0x01080301, 0x55555555};

Bytes inner_packet() {
  const Bytes frame = frame_of({.source = ipv4(0x01010101), .destination = ipv4(0x02020202), .payload = udp(1, 2, 30)});
  return {frame.begin() + 14, frame.end()};
}

struct Bench final : Output, Taps {
  std::vector<Port> ports = std::vector<Port>(1);
  Engine engine{ports, *this, this};
  std::shared_ptr<std::array<Ledger, 2>> ledgers = std::make_shared<std::array<Ledger, 2>>();
  std::vector<Bytes> sent, images;

  explicit Bench(bool v6 = false) {
    ports[0].mac = mac(1);
    const Side side{.port = 0, .peer = v6 ? ipv6(0) : ipv4(0x0a010000), .own = v6 ? ipv6(5) : kOwn};
    auto table = Table::create(
        {{.name = "gw", .sides = {side, side}, .kind = Kind::kGeneve, .client_bits = 24, .ledgers = ledgers}});
    REQUIRE(table);
    engine.adopt(*table);
    CHECK(sent.empty());  // the address is the host's: nothing is announced
  }
  void send(uint16_t, const Frame& frame, Ledger* ledger) override {
    sent.emplace_back(frame.data, frame.data + frame.length);
    if (ledger != nullptr) ledger->egress.add();
  }
  void ingress(uint16_t, const Frame&) override {}
  void synthetic(uint16_t, const Frame& frame) override { images.emplace_back(frame.data, frame.data + frame.length); }
  void egress(uint16_t, const Frame&) override {}
  void flush() override {}
  bool wants_synthetic() const noexcept override { return true; }
  void receive(Bytes bytes) {
    Frame frame{.data = bytes.data(), .length = static_cast<uint32_t>(bytes.size())};
    engine.receive(0, frame, 1);
  }
  uint64_t dropped(Drop why) const { return (*ledgers)[0].drops[static_cast<size_t>(why)].get(); }
};

Made from_balancer(Bytes payload) {
  return {.source = kBalancer, .destination = kOwn, .payload = std::move(payload), .ttl = 3};
}

}  // namespace

TEST_CASE("GENEVE goes back to its balancer with all that it carries, and the inner packet is shown") {
  Bench bench;
  const Bytes inner = inner_packet();
  const Bytes came = frame_of(from_balancer(datagram(kOptions, inner)));
  bench.receive(came);
  REQUIRE(bench.sent.size() == 1);
  const Bytes& sent = bench.sent[0];
  const Network ip = network_of(sent);
  CHECK(ip.source(sent) == kOwn);
  CHECK(ip.destination(sent) == kBalancer);
  CHECK(ip.ttl == 64);
  CHECK(has_right_sums(sent));
  CHECK(std::equal(sent.begin(), sent.begin() + 6, mac(9).begin()));
  CHECK(std::equal(sent.begin() + 6, sent.begin() + 12, mac(1).begin()));
  CHECK(std::equal(sent.begin() + 34, sent.end(), came.begin() + 34));  // ports, checksum, options and packet
  REQUIRE(bench.images.size() == 1);
  CHECK(std::equal(bench.images[0].begin() + 14, bench.images[0].end(), inner.begin(), inner.end()));
  CHECK(load_big<uint16_t>(bench.images[0].data() + 12) == kEtherIpv4);
  CHECK(bench.ports[0].ledger.answered.get() == 0);
}

TEST_CASE("an UDP checksum of 0 stays 0, and a whole frame within GENEVE is shown as it is") {
  Bench bench;
  const Bytes frame = frame_of({.source = ipv4(1), .destination = ipv4(2), .payload = udp(1, 2, 30)});
  Bytes came = frame_of(from_balancer(datagram({}, frame, kGeneveEthernet)));
  store_big<uint16_t>(came.data() + 40, uint16_t{0});
  bench.receive(came);
  REQUIRE(bench.sent.size() == 1);
  CHECK(load_big<uint16_t>(bench.sent[0].data() + 40) == 0);
  REQUIRE(bench.images.size() == 1);
  CHECK(bench.images[0] == frame);
}

TEST_CASE("GENEVE over IPv6 goes back, too") {
  Bench bench(true);
  Made made = from_balancer(datagram(kOptions, inner_packet()));
  made.source = ipv6(2);
  made.destination = ipv6(5);
  const Bytes came = frame_of(made);
  bench.receive(came);
  REQUIRE(bench.sent.size() == 1);
  const Bytes& sent = bench.sent[0];
  CHECK(network_of(sent).source(sent) == ipv6(5));
  CHECK(network_of(sent).destination(sent) == ipv6(2));
  CHECK(has_right_sums(sent));
  CHECK(std::equal(sent.begin() + 54, sent.end(), came.begin() + 54));
  CHECK(bench.images.size() == 1);
}

TEST_CASE("GENEVE that contradicts itself is counted, and what is none stays the host's") {
  Bench bench;
  const Bytes inner = inner_packet();
  std::vector<Bytes> bad;
  bad.push_back(datagram(kOptions, inner));
  bad.back()[8] = std::byte{0x48};  // another version
  bad.push_back(datagram(kOptions, inner));
  bad.back()[9] = std::byte{0x80};                                // a control message
  bad.push_back(datagram({0x0108011f}, inner));                   // an option beyond its room
  bad.push_back(datagram(kOptions, inner, kEtherIpv6));           // another packet than it says
  bad.push_back(datagram(kOptions, inner, 0x1234));               // one that nobody knows
  bad.push_back(datagram(kOptions, std::span(inner).first(19)));  // a packet that is cut off
  bad.push_back(datagram({}, {}));
  bad.back()[8] = std::byte{0x3f};  // options that are not there
  for (const Bytes& payload : bad) bench.receive(frame_of(from_balancer(payload)));
  CHECK(bench.dropped(Drop::kGeneve) == bad.size());
  Bytes shorter = datagram(kOptions, inner);
  store_big<uint16_t>(shorter.data() + 4, uint16_t{15});
  bench.receive(frame_of(from_balancer(shorter)));
  CHECK(bench.dropped(Drop::kGeneve) == bad.size() + 1);
  Made fragment = from_balancer(datagram(kOptions, inner));
  fragment.fragment = 0x2000;
  bench.receive(frame_of(fragment));
  CHECK(bench.dropped(Drop::kFragment) == 1);
  Made stranger = from_balancer(datagram(kOptions, inner));
  stranger.source = ipv4(0x0a020002);
  bench.receive(frame_of(stranger));
  CHECK(bench.ports[0].ledger.unmatched.get() == 1);
  bench.receive(frame_of(from_balancer(udp(40000, 53, 20))));
  CHECK(bench.sent.empty());
  const Ledger& ledger = (*bench.ledgers)[0];
  CHECK(ledger.ingress.get() == bad.size() + 2);
  CHECK(ledger.egress.get() == 0);
}
