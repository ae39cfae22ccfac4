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
  void send(uint16_t, const Frame& frame, Ledger* ledger) override {
    if (frame.length < kEthernetBytes) abort();
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
};

Rule rule(const char* name, Address client, Address in, Address out, Address server) {
  return {.name = name,
          .sides = {Side{.port = 0, .peer = client, .own = in}, Side{.port = 1, .peer = server, .own = out}},
          .ledgers = std::make_shared<std::array<Ledger, 2>>()};
}

void check(const Rule& of) {
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
                                   rule("six", ipv6(1), ipv6(2), ipv6(3), ipv6(4))};
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
      if (v6 && length > 54) {
        const Address from = port == 0 ? ipv6(1) : ipv6(4), own = port == 0 ? ipv6(2) : ipv6(3);
        std::copy_n(from.bytes.begin(), 16, frame.data + 22);
        std::copy_n(own.bytes.begin(), 16, frame.data + 38);
      } else if (!v6) {
        const Address from = port == 0 ? ipv4(1) : ipv4(4), own = port == 0 ? ipv4(2) : ipv4(3);
        std::copy_n(from.bytes.begin(), 4, frame.data + 26);
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
