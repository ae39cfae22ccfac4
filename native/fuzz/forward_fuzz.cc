// Hostile frames at both interfaces of a forwarder: nothing is read or written beyond them, and every ledger is
// balanced.
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "core/byte_order.h"
#include "forward/engine.h"

using namespace ringtap;
using namespace ringtap::forward;

namespace {

Address ipv4(uint8_t last) {
  Address made;
  made.bytes[0] = std::byte{10};
  made.bytes[3] = std::byte{last};
  return made;
}

Address ipv6(uint8_t last) {
  Address made;
  made.v6 = true;
  made.bytes[0] = std::byte{0x20};
  made.bytes[15] = std::byte{last};
  return made;
}

Mac mac(uint8_t last) { return {std::byte{2}, {}, {}, {}, {}, std::byte{last}}; }

struct Wire final : Output, Taps {
  void send(uint16_t port, const Frame& frame, Ledger* ledger) override {
    if (frame.length < kEthernetBytes) abort();
    const auto link = read_link(frame.bytes());
    if (link && link->type == kEtherArp && ledger == nullptr) {
      const auto told = read_arp(frame.bytes(), *link);
      if (told && told->kind == NeighbourTold::Kind::kRequest) asked.emplace_back(port, *told);
    }
    for (uint32_t i = 0; i < frame.length; i++) seen += std::to_integer<uint8_t>(frame.data[i]);
    if (ledger != nullptr) ledger->egress.add();
  }
  void ingress(uint16_t, const Frame& frame) override {
    std::vector<std::byte> copy(frame.data, frame.data + frame.length);
    Frame completed = frame;
    completed.data = copy.data();
    complete_sum(completed);
  }
  void synthetic(uint16_t port, const Frame& frame) override { ingress(port, frame); }
  void egress(uint16_t, const Frame&) override {}
  void flush() override {}
  bool wants_synthetic() const noexcept override { return true; }
  uint64_t seen = 0;
  std::vector<std::pair<uint16_t, NeighbourTold>> asked;
};

Rule rule(const char* name, Address client, Address in, Address out, Address server) {
  return {.name = name,
          .sides = {Side{.port = 0, .peer = client, .own = in}, Side{.port = 1, .peer = server, .own = out}},
          .ledgers = std::make_shared<std::array<Ledger, 2>>()};
}

/// Bounds that a few packets reach.
NatSettings few() {
  return {.first_port = 3000,
          .last_port = 3004,
          .most_entries = 8,
          .most_per_client = 4,
          .timeouts_ns = {4'000'000'000, 2'000'000'000, 1'000'000'000, 1'000'000'000, 500'000'000}};
}

Rule many(const char* name, Address in, Address out, Address server) {
  Rule made = rule(name, Address{.v6 = in.v6}, in, out, server);
  made.kind = Kind::kNat;
  made.settings = few();
  made.nat = std::make_shared<Nat>(made.settings, 1);
  return made;
}

Rule tunnel(const char* name, Address own) {
  Rule made = rule(name, Address{.v6 = own.v6}, own, own, Address{.v6 = own.v6});
  made.kind = Kind::kGeneve;
  made.sides[1] = made.sides[0];
  return made;
}

void check(const Rule& of) {
  if (of.nat && (of.nat->ledger().entries.get() > few().most_entries ||
                 of.nat->ledger().created.get() - of.nat->ledger().expired.get() != of.nat->ledger().entries.get())) {
    abort();
  }

  for (const Ledger& ledger : *of.ledgers) {
    uint64_t all = ledger.egress.get() + ledger.waiting.get();
    for (const Counter& drop : ledger.drops) all += drop.get();
    if (all != ledger.ingress.get()) abort();
  }
}

}  // namespace

/// Frames, each behind three bytes: which port and how it begins, and its length.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<Port> ports(2);
  ports[0].mac = mac(1);
  ports[1].mac = mac(2);
  ports[1].mtu = 600;
  Wire wire;
  Engine engine(ports, wire, &wire);
  const std::vector<Rule> rules = {rule("four", ipv4(1), ipv4(2), ipv4(3), ipv4(4)),
                                   rule("six", ipv6(1), ipv6(2), ipv6(3), ipv6(4)),
                                   many("many four", ipv4(12), ipv4(13), ipv4(14)),
                                   many("many six", ipv6(12), ipv6(13), ipv6(14)),
                                   tunnel("tunnel four", ipv4(15)),
                                   tunnel("tunnel six", ipv6(15))};
  auto table = Table::create(rules);
  if (!table) abort();
  engine.adopt(*table);
  int64_t now = 1;
  for (size_t at = 0; at + 3 <= size;) {
    const uint8_t how = data[at];
    const size_t length = std::min<size_t>((data[at + 1] << 8 | data[at + 2]) & 0xfff, size - at - 3);
    const auto port = static_cast<uint16_t>(how & 1);
    // WHY of its own: what is read beyond it is heard of.
    std::vector<std::byte> memory(kHeadroom + length);
    std::memcpy(memory.data() + kHeadroom, data + at + 3, length);
    Frame frame{.data = memory.data() + kHeadroom, .length = static_cast<uint32_t>(length)};
    if ((how & 2) != 0 && length > 34) {
      const Mac to = ports[port].mac;
      std::copy(to.begin(), to.end(), frame.data);
      const bool v6 = (how & 4) != 0;
      store_big<uint16_t>(frame.data + 12, v6 ? kEtherIpv6 : kEtherIpv4);
      // Of the rule for one client, that for many (whose address stays), or the tunnel.
      const bool is_many = (how & 64) != 0, is_tunnel = (how & 128) != 0;
      const auto near = static_cast<uint8_t>(is_tunnel ? 15 : is_many ? 12 : 2);
      const auto far = static_cast<uint8_t>(is_many ? 13 : 3), server = static_cast<uint8_t>(is_many ? 14 : 4);
      const bool keeps_source = port == 0 && (is_many || is_tunnel);
      if (v6 && length > 54) {
        const Address from = port == 0 ? ipv6(1) : ipv6(server), own = port == 0 ? ipv6(near) : ipv6(far);
        if (!keeps_source) std::copy_n(from.bytes.begin(), 16, frame.data + 22);
        std::copy_n(own.bytes.begin(), 16, frame.data + 38);
      } else if (!v6) {
        const Address from = port == 0 ? ipv4(1) : ipv4(server), own = port == 0 ? ipv4(near) : ipv4(far);
        if (!keeps_source) std::copy_n(from.bytes.begin(), 4, frame.data + 26);
        std::copy_n(own.bytes.begin(), 4, frame.data + 30);
        if ((how & 32) != 0) {  // a header that is right
          frame.data[14] = std::byte{0x45};
          store_big<uint16_t>(frame.data + 16, static_cast<uint16_t>(length - 14));
          store_big<uint16_t>(frame.data + 24, uint16_t{0});
          uint32_t sum = 0;
          for (int i = 14; i < 34; i += 2) sum += load_big<uint16_t>(frame.data + i);
          sum = (sum & 0xffff) + (sum >> 16);
          sum = (sum & 0xffff) + (sum >> 16);
          store_big<uint16_t>(frame.data + 24, static_cast<uint16_t>(~sum));
        }
      }
    }
    if ((how & 8) != 0 && length > 0) {
      frame.offload = {.flags = Offload::kNeedsSum,
                       .kind = static_cast<uint8_t>(how & 16),
                       .header_bytes = static_cast<uint16_t>(length),
                       .segment_bytes = static_cast<uint16_t>(data[at + 2] * 8),
                       .sum_start = static_cast<uint16_t>(data[at + 1] * 3),
                       .sum_offset = static_cast<uint16_t>(data[at + 2] & 31)};
    }
    if ((how & 64) != 0) find_partial_sum(frame);
    engine.receive(port, frame, now);
    for (const auto& [asked_at, told] : std::exchange(wire.asked, {})) {
      const Envelope envelope{.to = ports[asked_at].mac, .from = mac(9)};
      Bytes reply = neighbour_reply(envelope, told.target, told.sender, ports[asked_at].mac, true);
      Frame answer{.data = reply.data(), .length = static_cast<uint32_t>(reply.size())};
      engine.receive(asked_at, answer, now);
    }
    engine.flushed();
    now += 1'000'000 << (how & 15);
    engine.tick(now);
    engine.flushed();
    at += 3 + length;
  }
  for (const Rule& one : (*table)->rules()) check(one);
  engine.close();
  for (const Rule& one : (*table)->rules()) check(one);
  return 0;
}
