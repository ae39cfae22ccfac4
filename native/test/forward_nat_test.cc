#include <doctest/doctest.h>

#include <set>

#include "forward_frames.h"

using namespace ringtap;
using namespace ringtap::forward;
using namespace ringtap::forward::test;

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr uint8_t kFin = 1, kSyn = 2, kReset = 4, kAck = 16;
const Address kIn = ipv4(0x0a010005), kOut = ipv4(0x0a020005), kServer = ipv4(0x0a020002);
const Address kIn6 = ipv6(0x10005), kOut6 = ipv6(0x20005), kServer6 = ipv6(0x20002);

Address client(uint32_t number) { return ipv4(0x0a010100 + number); }

Bytes segment(uint16_t from, uint16_t to, uint8_t flags, size_t data = 0) {
  Bytes made(20 + data);
  store_big<uint16_t>(made.data(), from);
  store_big<uint16_t>(made.data() + 2, to);
  made[12] = std::byte{0x50};
  made[13] = static_cast<std::byte>(flags);
  return made;
}

Bytes ping(uint8_t type, uint16_t id) {
  Bytes made(16);
  made[0] = static_cast<std::byte>(type);
  store_big<uint16_t>(made.data() + 4, id);
  return made;
}

/// An engine with many clients behind port 0 and a server behind port 1, whose link-layer addresses are known.
struct Bench final : Output, Taps {
  std::vector<Port> ports = std::vector<Port>(2);
  Engine engine{ports, *this, this};
  std::shared_ptr<std::array<Ledger, 2>> ledgers = std::make_shared<std::array<Ledger, 2>>();
  std::shared_ptr<Nat> nat;
  std::vector<std::pair<uint16_t, Bytes>> sent;
  std::vector<Bytes> images;
  int64_t now = kSecond;

  explicit Bench(const NatSettings& settings = {}, bool v6 = false) : nat(std::make_shared<Nat>(settings, 7)) {
    ports[0].mac = mac(1);
    ports[1].mac = mac(2);
    const Side near{.port = 0, .peer = v6 ? ipv6(0) : ipv4(0x0a010000), .own = v6 ? kIn6 : kIn};
    const Side far{.port = 1, .peer = v6 ? kServer6 : kServer, .own = v6 ? kOut6 : kOut};
    auto table = Table::create({{.name = "many",
                                 .sides = {near, far},
                                 .kind = Kind::kNat,
                                 .client_bits = static_cast<uint8_t>(v6 ? 64 : 16),
                                 .settings = settings,
                                 .ledgers = ledgers,
                                 .nat = nat}});
    REQUIRE(table);
    engine.adopt(*table);
    receive(1, neighbour_reply({.to = mac(2), .from = mac(22)}, kServer, kOut, mac(2), true));
  }
  void send(uint16_t port, const Frame& frame, Ledger* ledger) override {
    sent.emplace_back(port, Bytes(frame.data, frame.data + frame.length));
    if (ledger != nullptr) ledger->egress.add();
  }
  void ingress(uint16_t, const Frame&) override {}
  void synthetic(uint16_t, const Frame& frame) override { images.emplace_back(frame.data, frame.data + frame.length); }
  void egress(uint16_t, const Frame&) override {}
  void flush() override {}
  bool wants_synthetic() const noexcept override { return true; }

  void receive(uint16_t port, const Bytes& bytes) {
    Bytes memory(kHeadroom + bytes.size());
    std::copy(bytes.begin(), bytes.end(), memory.begin() + kHeadroom);
    Frame frame{.data = memory.data() + kHeadroom, .length = static_cast<uint32_t>(bytes.size())};
    engine.receive(port, frame, now);
  }
  /// Until the next hops of a packet are known. @returns the packet as it left; nothing if it was dropped
  std::optional<Bytes> pass(uint16_t port, const Made& made) {
    sent.clear();
    Made addressed = made;
    addressed.to = ports[port].mac;
    receive(port, frame_of(addressed));
    const auto is_packet = [](const auto& one) {
      const auto link = read_link(one.second);
      return link->type != kEtherArp && !is_discovery(one.second, network_of(one.second));
    };
    for (const auto& [at, bytes] : std::vector(sent)) {
      if (is_packet(std::pair(at, bytes))) continue;
      Bytes asked = bytes;
      const auto link = read_link(asked);
      const Frame frame{.data = asked.data(), .length = static_cast<uint32_t>(asked.size())};
      const auto told = link->type == kEtherArp ? read_arp(asked, *link) : read_discovery(frame, network_of(asked));
      if (!told || told->kind != NeighbourTold::Kind::kRequest || told->sender == told->target) continue;
      const Envelope envelope{.to = ports[at].mac, .from = mac(static_cast<uint8_t>(30 + at))};
      receive(at, neighbour_reply(envelope, told->target, told->sender, ports[at].mac, true));
    }
    const auto found = std::find_if(sent.begin(), sent.end(), is_packet);
    engine.flushed();
    return found == sent.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<Bytes> from_client(uint32_t number, uint8_t carried, Bytes payload, uint16_t fragment = 0) {
    return pass(0, {.source = client(number),
                    .destination = kIn,
                    .carried = carried,
                    .payload = std::move(payload),
                    .fragment = fragment});
  }
  std::optional<Bytes> from_server(uint8_t carried, Bytes payload, uint16_t fragment = 0) {
    return pass(1, {.source = kServer,
                    .destination = kOut,
                    .carried = carried,
                    .payload = std::move(payload),
                    .fragment = fragment});
  }
  uint64_t dropped(Drop why, size_t direction = 0) const {
    return (*ledgers)[direction].drops[static_cast<size_t>(why)].get();
  }
  void check_balance() const {
    for (const Ledger& ledger : *ledgers) {
      uint64_t all = ledger.egress.get() + ledger.waiting.get();
      for (const Counter& drop : ledger.drops) all += drop.get();
      CHECK(all == ledger.ingress.get());
    }
  }
};

Ports ports_of(std::span<const std::byte> frame) { return *read_ports(frame, network_of(frame)); }

}  // namespace

TEST_CASE("clients that use one port have different ones of ours, and each gets its own answer") {
  Bench bench;
  std::set<uint16_t> taken;
  for (uint32_t i = 0; i < 200; i++) {
    const auto sent = bench.from_client(i, protocol::kUdp, udp(5000, 53, 10 + i));
    REQUIRE(sent);
    const Network ip = network_of(*sent);
    CHECK(ip.source(*sent) == kOut);
    CHECK(ip.destination(*sent) == kServer);
    CHECK(has_right_sums(*sent));
    const uint16_t port = ports_of(*sent).source;
    if (i == 0) CHECK(port == 5000);
    CHECK(port % 2 == 0);  // as theirs
    CHECK(taken.insert(port).second);
    const auto answer = bench.from_server(protocol::kUdp, udp(53, port, 5));
    REQUIRE(answer);
    const Network back = network_of(*answer);
    CHECK(back.source(*answer) == kIn);
    CHECK(back.destination(*answer) == client(i));
    CHECK(ports_of(*answer).destination == 5000);
    CHECK(has_right_sums(*answer));
    const Bytes& image = bench.images.back();
    CHECK(network_of(image).source(image) == kServer);
    CHECK(network_of(image).destination(image) == client(i));
    CHECK(ports_of(image).destination == 5000);
    CHECK(has_right_sums(image));
    bench.images.clear();
  }
  CHECK(bench.nat->ledger().entries.get() == 200);
  CHECK(bench.nat->ledger().clients.get() == 200);
  // One port of ours serves two ports of the server.
  const auto other = bench.from_client(7, protocol::kUdp, udp(5000, 123, 10));
  REQUIRE(other);
  CHECK(ports_of(*other).source == 5000);
  bench.check_balance();
}

TEST_CASE("ids of echoes are translated, and an answer that nobody has asked for is dropped") {
  Bench bench;
  const auto one = bench.from_client(1, protocol::kIcmp, ping(8, 7));
  const auto two = bench.from_client(2, protocol::kIcmp, ping(8, 7));
  REQUIRE(one);
  REQUIRE(two);
  CHECK(ports_of(*one).source == 7);
  const uint16_t id = ports_of(*two).source;
  CHECK(id != 7);
  CHECK(has_right_sums(*two));
  const auto answer = bench.from_server(protocol::kIcmp, ping(0, id));
  REQUIRE(answer);
  CHECK(network_of(*answer).destination(*answer) == client(2));
  CHECK(ports_of(*answer).source == 7);
  CHECK(has_right_sums(*answer));
  CHECK_FALSE(bench.from_server(protocol::kIcmp, ping(0, 999)));
  CHECK_FALSE(bench.from_server(protocol::kIcmp, ping(8, id)));  // asks, and has nobody to ask
  CHECK_FALSE(bench.from_client(1, protocol::kIcmp, ping(0, 7)));
  CHECK(bench.dropped(Drop::kUnmapped, 1) == 2);
  CHECK(bench.dropped(Drop::kUnmapped, 0) == 1);
  CHECK_FALSE(bench.from_client(1, 47, Bytes(20)));
  CHECK(bench.dropped(Drop::kProtocol) == 1);
  bench.check_balance();
}

TEST_CASE("a connection is kept by how it stands: on its way, open, closed, and reset") {
  const NatSettings settings{.timeouts_ns = {1000 * kSecond, 100 * kSecond, 10 * kSecond, kSecond, kSecond}};
  Bench bench(settings);
  const auto say = [&](uint8_t flags) { return bench.from_client(1, protocol::kTcp, segment(4000, 80, flags)); };
  const auto answer = [&](uint8_t flags) { return bench.from_server(protocol::kTcp, segment(80, 4000, flags)); };
  const auto is_kept_for = [&](int64_t seconds) {
    bench.engine.tick(bench.now + seconds * kSecond - 1);
    const bool was_there = bench.nat->ledger().entries.get() == 1;
    bench.engine.tick(bench.now + seconds * kSecond);
    return was_there && bench.nat->ledger().entries.get() == 0;
  };
  REQUIRE(say(kSyn));
  CHECK(is_kept_for(100));
  REQUIRE(say(kSyn));
  REQUIRE(answer(kSyn | kAck));
  CHECK(is_kept_for(100));
  REQUIRE(say(kSyn));
  REQUIRE(answer(kSyn | kAck));
  REQUIRE(say(kAck));
  CHECK(is_kept_for(1000));
  REQUIRE(say(kSyn));
  REQUIRE(answer(kSyn | kAck));
  REQUIRE(say(kAck));
  REQUIRE(say(kFin | kAck));
  REQUIRE(answer(kAck));
  CHECK(is_kept_for(1000));  // half of it is open
  REQUIRE(say(kSyn));
  REQUIRE(answer(kSyn | kAck));
  REQUIRE(say(kAck));
  REQUIRE(say(kFin | kAck));
  REQUIRE(answer(kFin | kAck));
  REQUIRE(say(kAck));
  CHECK(is_kept_for(10));
  REQUIRE(say(kSyn));
  REQUIRE(answer(kReset | kAck));
  CHECK(is_kept_for(10));
  // A reset that the other end did not believe.
  REQUIRE(say(kSyn));
  REQUIRE(answer(kSyn | kAck));
  REQUIRE(say(kAck));
  REQUIRE(say(kReset));
  REQUIRE(answer(kAck));
  CHECK(is_kept_for(1000));
  // What ends nothing begins nothing, either.
  CHECK_FALSE(say(kFin | kAck));
  CHECK_FALSE(say(kReset));
  CHECK_FALSE(say(kSyn | kAck));
  CHECK_FALSE(answer(kSyn));
  CHECK(bench.dropped(Drop::kUnmapped) == 3);
  // A connection that was there before us.
  REQUIRE(say(kAck));
  bench.check_balance();
}

TEST_CASE("a full table, a client with too many conversations, and ports that are used up are counted by name") {
  NatSettings settings{.first_port = 3000, .last_port = 3003, .most_entries = 6, .most_per_client = 3};
  Bench bench(settings);
  for (uint16_t port = 1; port <= 3; port++) CHECK(bench.from_client(1, protocol::kUdp, udp(port, 53, 4)));
  CHECK_FALSE(bench.from_client(1, protocol::kUdp, udp(4, 53, 4)));
  CHECK(bench.dropped(Drop::kClientFull) == 1);
  CHECK(bench.from_client(2, protocol::kUdp, udp(1, 53, 4)));
  CHECK_FALSE(bench.from_client(3, protocol::kUdp, udp(1, 53, 4)));
  CHECK(bench.dropped(Drop::kNoPort) == 1);
  CHECK(bench.from_client(3, protocol::kUdp, udp(3001, 54, 4)));
  CHECK(bench.from_client(3, protocol::kUdp, udp(3001, 55, 4)));
  CHECK_FALSE(bench.from_client(4, protocol::kUdp, udp(1, 56, 4)));
  CHECK(bench.dropped(Drop::kTableFull) == 1);
  // What is there goes on, and a port is free again once its time is over.
  CHECK(bench.from_client(1, protocol::kUdp, udp(2, 53, 4)));
  bench.now += settings.timeouts_ns[static_cast<size_t>(Stage::kUdp)];
  CHECK(bench.from_client(4, protocol::kUdp, udp(1, 53, 4)));
  CHECK(bench.nat->ledger().expired.get() == 6);
  CHECK(bench.nat->ledger().clients.get() == 1);
  bench.check_balance();
}

TEST_CASE("later fragments go with the first one, for half a minute, and those without one are counted") {
  Bench bench;
  const Bytes datagram = udp(5000, 53, 1600), tail(datagram.begin() + 808, datagram.end());
  CHECK_FALSE(bench.from_client(1, protocol::kUdp, tail, 100));
  CHECK(bench.dropped(Drop::kFragment) == 1);
  REQUIRE(bench.from_client(2, protocol::kUdp, udp(5000, 53, 4)));
  const Bytes whole = frame_of({.source = client(1), .destination = kIn, .payload = datagram});
  const auto pieces = fragments(whole, network_of(whole), 820);
  REQUIRE(pieces.size() == 3);
  Bytes joined;
  std::optional<Bytes> first;
  for (const Bytes& piece : pieces) {
    bench.sent.clear();
    bench.receive(0, piece);
    bench.engine.flushed();
    REQUIRE(bench.sent.size() == 1);
    const Bytes& sent = bench.sent[0].second;
    const Network ip = network_of(sent);
    CHECK(ip.source(sent) == kOut);
    CHECK(ip.destination(sent) == kServer);
    CHECK(has_good_header(sent, ip));
    joined.insert(joined.end(), sent.begin() + ip.transport, sent.begin() + ip.end);
    if (!first) first = sent;
  }
  const uint16_t port = load_big<uint16_t>(joined.data());
  CHECK(port != 5000);
  const auto addresses = std::span<const std::byte>(*first).subspan(26, 8);
  CHECK(checksum::of(checksum::pseudo_header(addresses, protocol::kUdp, 1608) + checksum::sum(joined)) == 0);
  // The way back has its own.
  REQUIRE(bench.from_server(protocol::kUdp, udp(53, port, 0), 0x2000));
  const auto back = bench.from_server(protocol::kUdp, tail, 1);
  REQUIRE(back);
  CHECK(network_of(*back).destination(*back) == client(1));
  bench.now += Nat::kFragmentNs;
  CHECK_FALSE(bench.from_client(1, protocol::kUdp, tail, 100));
  CHECK(bench.dropped(Drop::kFragment) == 2);
  for (uint32_t i = 0; i < Nat::kMostFragments + 10; i++) {
    REQUIRE(bench.from_client(i, protocol::kUdp, udp(5000, 53, 24), 0x2000));
  }
  CHECK_FALSE(bench.from_client(3, protocol::kUdp, tail, 100));
  CHECK(bench.from_client(Nat::kMostFragments, protocol::kUdp, tail, 100));
  bench.check_balance();
}

TEST_CASE("an ICMP error reaches the client whose packet it quotes, with the port that he knows") {
  Bench bench;
  REQUIRE(bench.from_client(1, protocol::kUdp, udp(5000, 9, 20)));
  const auto sent = bench.from_client(2, protocol::kUdp, udp(5000, 9, 20));
  REQUIRE(sent);
  const auto error_about = [](const Bytes& packet, uint8_t type) {
    Bytes made(8);
    made[0] = static_cast<std::byte>(type);
    made.insert(made.end(), packet.begin() + 14, packet.end());
    return made;
  };
  // By a router, of whom nothing is known.
  Made made{
      .source = ipv4(0x0a030001), .destination = kOut, .carried = protocol::kIcmp, .payload = error_about(*sent, 11)};
  const auto error = bench.pass(1, made);
  REQUIRE(error);
  const Network ip = network_of(*error);
  CHECK(ip.source(*error) == kIn);
  CHECK(ip.destination(*error) == client(2));
  CHECK(has_right_sums(*error));
  const auto quote = read_quote(*error, ip);
  REQUIRE(quote);
  CHECK(quote->source(*error) == client(2));
  CHECK(quote->destination(*error) == kIn);
  CHECK(read_ports(*error, *quote)->source == 5000);
  CHECK(has_good_header(*error, *quote));
  const Bytes& image = bench.images.back();
  const auto shown = read_quote(image, network_of(image));
  REQUIRE(shown);
  CHECK(shown->source(image) == client(2));
  CHECK(shown->destination(image) == kServer);
  CHECK(has_right_sums(image));
  // About the server's packet, by the client.
  const uint16_t port = ports_of(*sent).source;
  const auto answer = bench.from_server(protocol::kUdp, udp(9, port, 20));
  REQUIRE(answer);
  const auto refused = bench.from_client(2, protocol::kIcmp, error_about(*answer, 3));
  REQUIRE(refused);
  const auto quoted = read_quote(*refused, network_of(*refused));
  REQUIRE(quoted);
  CHECK(quoted->source(*refused) == kServer);
  CHECK(quoted->destination(*refused) == kOut);
  CHECK(read_ports(*refused, *quoted)->destination == port);
  CHECK(has_right_sums(*refused));
  // About nothing that was sent.
  Bytes strange = *sent;
  store_big<uint16_t>(strange.data() + 34, uint16_t{1});
  made.payload = error_about(strange, 11);
  CHECK_FALSE(bench.pass(1, made));
  CHECK(bench.dropped(Drop::kUnmapped, 1) == 1);
  bench.check_balance();
}

TEST_CASE("IPv6 is translated as IPv4 is: datagrams, echoes, and what errors quote") {
  Bench bench({}, true);
  const auto from = [&](uint64_t number, uint8_t carried, Bytes payload) {
    return bench.pass(0,
                      {.source = ipv6(number), .destination = kIn6, .carried = carried, .payload = std::move(payload)});
  };
  const auto back = [&](const Address& who, uint8_t carried, Bytes payload) {
    return bench.pass(1, {.source = who, .destination = kOut6, .carried = carried, .payload = std::move(payload)});
  };
  REQUIRE(from(1, protocol::kUdp, udp(5000, 53, 20)));
  const auto sent = from(2, protocol::kUdp, udp(5000, 53, 20));
  REQUIRE(sent);
  CHECK(network_of(*sent).source(*sent) == kOut6);
  CHECK(has_right_sums(*sent));
  const uint16_t port = ports_of(*sent).source;
  CHECK(port != 5000);
  const auto answer = back(kServer6, protocol::kUdp, udp(53, port, 9));
  REQUIRE(answer);
  CHECK(network_of(*answer).destination(*answer) == ipv6(2));
  CHECK(ports_of(*answer).destination == 5000);
  CHECK(has_right_sums(*answer));
  REQUIRE(from(1, protocol::kIcmp6, ping(128, 7)));
  const auto asked = from(2, protocol::kIcmp6, ping(128, 7));
  REQUIRE(asked);
  CHECK(has_right_sums(*asked));
  const auto echoed = back(kServer6, protocol::kIcmp6, ping(129, ports_of(*asked).source));
  REQUIRE(echoed);
  CHECK(network_of(*echoed).destination(*echoed) == ipv6(2));
  CHECK(ports_of(*echoed).source == 7);
  CHECK(has_right_sums(*echoed));
  Bytes too_big(8);
  too_big[0] = std::byte{2};
  too_big.insert(too_big.end(), sent->begin() + 14, sent->end());
  const auto error = back(ipv6(0x30001), protocol::kIcmp6, too_big);
  REQUIRE(error);
  CHECK(network_of(*error).destination(*error) == ipv6(2));
  const auto quote = read_quote(*error, network_of(*error));
  REQUIRE(quote);
  CHECK(quote->source(*error) == ipv6(2));
  CHECK(read_ports(*error, *quote)->source == 5000);
  CHECK(has_right_sums(*error));
  bench.check_balance();
}

TEST_CASE("what waits for the next hops of many clients has a bound, whichever they are") {
  Neighbours neighbours;
  std::vector<Neighbours::Request> requests;
  size_t kept = 0, bytes = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    const Hop hop{.port = 0, .address = client(i)};
    CHECK_FALSE(neighbours.find(hop, kIn, kSecond, requests));
    Waiting waiting{.bytes = Bytes(60'000), .frame = {}, .keeps = {}};
    if (!neighbours.wait(hop, std::move(waiting))) continue;
    kept++;
    bytes += 60'000;
  }
  CHECK(bytes <= Neighbours::kMostBytes);
  CHECK(kept == Neighbours::kMostBytes / 60'000);
  CHECK(neighbours.learn({.port = 0, .address = client(0)}, mac(9), kSecond).size() == 1);
  CHECK(neighbours.wait({.port = 0, .address = client(999)}, {.bytes = Bytes(60'000), .frame = {}, .keeps = {}}));
  std::vector<Waiting> failed;
  for (int64_t i = 1; i <= 5; i++) neighbours.tick(kSecond + i * Neighbours::kRetryNs, requests, failed);
  CHECK(failed.size() == kept);
  CHECK(neighbours.wait({.port = 0, .address = client(5)}, {.bytes = Bytes(60'000), .frame = {}, .keeps = {}}));
}

TEST_CASE("the longest network has a client, and a rule for him alone comes first") {
  const auto rule = [](const char* name, Kind kind, uint32_t peer, uint8_t bits, uint32_t out) {
    return Rule{
        .name = name,
        .sides = {Side{.port = 0, .peer = ipv4(peer), .own = kIn}, Side{.port = 1, .peer = kServer, .own = ipv4(out)}},
        .kind = kind,
        .client_bits = bits,
        .ledgers = std::make_shared<std::array<Ledger, 2>>()};
  };
  auto table =
      Table::create({rule("wide", Kind::kNat, 0, 0, 0x0a020006), rule("near", Kind::kNat, 0x0a010000, 16, 0x0a020007),
                     rule("one", Kind::kPair, 0x0a010009, 0, 0x0a020008)});
  REQUIRE(table);
  const auto whose = [&](uint32_t from) { return (*table)->find(0, ipv4(from), kIn)->rule->name; };
  CHECK(whose(0x0b000001) == "wide");
  CHECK(whose(0x0a010001) == "near");
  CHECK(whose(0x0a010009) == "one");
  CHECK_FALSE((*table)->find(0, ipv4(0xe0000001), kIn));
  const auto same = Table::create(
      {rule("a", Kind::kNat, 0x0a010000, 16, 0x0a020006), rule("b", Kind::kNat, 0x0a01ff00, 16, 0x0a020007)});
  REQUIRE_FALSE(same);
  CHECK(same.error().message.find("of clients") != std::string::npos);
  const auto shared = Table::create(
      {rule("a", Kind::kNat, 0x0a010000, 16, 0x0a020006), rule("b", Kind::kNat, 0x0a020000, 16, 0x0a020006)});
  REQUIRE_FALSE(shared);
  CHECK(shared.error().message.find("that the server answers with") != std::string::npos);
}
