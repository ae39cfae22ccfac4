#include "backends/synth/synth.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <set>
#include <span>
#include <thread>

#include "backends/synth/frames.h"

using namespace ringtap;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::byte>;

struct Packet {
  uint64_t number;  // told from its time
  Bytes bytes;
  uint32_t flags;
};

using Settings = std::map<std::string, Options::Value>;

Result<std::unique_ptr<Source>> try_open(const Settings& settings) {
  Options options;
  for (const auto& [name, value] : settings) options.set(name, value);
  return open_synth({.uri = "synth:", .target = "", .options = options});
}

std::unique_ptr<Source> start(const Settings& settings) {
  auto source = try_open(settings);
  REQUIRE_MESSAGE(bool(source), source.error().message);
  REQUIRE((*source)->start());
  return *std::move(source);
}

/// Up to `count` packets; `rx` tells how it went on.
std::vector<Packet> take(Source& source, size_t count, Rx* rx = nullptr, double gap_ns = 1000) {
  std::vector<Packet> packets;
  DescBlock block(64);
  while (packets.size() < count) {
    const RxBatch batch = source.receive(block, static_cast<uint32_t>(std::min<size_t>(64, count - packets.size())));
    if (rx != nullptr) *rx = batch.rx;
    if (batch.rx == Rx::kEof || batch.rx == Rx::kError) break;
    if (batch.rx != Rx::kOk) continue;
    const std::byte* base = source.info().segments.at(batch.segment).base;
    for (uint32_t i = 0; i < batch.count; i++) {
      const std::byte* at = base + block.offset[i];
      packets.push_back(
          {static_cast<uint64_t>(block.time[i] / gap_ns + 0.5), Bytes(at, at + block.caplen[i]), block.flags[i]});
    }
    source.release(batch.lease);
  }
  return packets;
}

uint32_t half(const Bytes& bytes, size_t at) {
  return std::to_integer<uint32_t>(bytes.at(at)) << 8 | std::to_integer<uint32_t>(bytes.at(at + 1));
}

/// The Internet checksum over [at, at + size): 0xffff where the sum in the bytes is right.
uint32_t sum(const Bytes& bytes, size_t at, size_t size, uint32_t start = 0) {
  uint64_t total = start;
  for (size_t i = 0; i < size; i++) {
    total += uint64_t{std::to_integer<uint32_t>(bytes.at(at + i))} << (i % 2 == 0 ? 8 : 0);
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return static_cast<uint32_t>(total);
}

/// Are lengths and checksums of this frame right? Written from the RFCs, not from frames.cc.
bool well_formed(const Bytes& frame) {
  const size_t l3 = half(frame, 12) == 0x8100 ? 18 : 14;
  const uint32_t type = half(frame, l3 - 2);
  if (type == 0x0806) return half(frame, l3) == 1 && half(frame, l3 + 2) == 0x0800 && half(frame, l3 + 4) == 0x0604;
  const bool v6 = type == 0x86dd;
  if (!v6 && type != 0x0800) return false;
  const size_t l4 = l3 + (v6 ? 40 : 20);
  const size_t size = frame.size() - l4;
  const auto protocol = std::to_integer<uint32_t>(frame.at(l3 + (v6 ? 6 : 9)));
  if (v6 ? half(frame, l3 + 4) != size : half(frame, l3 + 2) != frame.size() - l3) return false;
  if (!v6 && sum(frame, l3, 20) != 0xffff) return false;
  if (protocol == 17 && (half(frame, l4 + 4) != size || half(frame, l4 + 6) == 0)) return false;
  const bool pseudo_header = protocol != 1;
  const uint32_t addresses = v6 ? sum(frame, l3 + 8, 32) : sum(frame, l3 + 12, 8);
  const uint32_t start = pseudo_header ? addresses + protocol + static_cast<uint32_t>(size) : 0;
  return sum(frame, l4, size, start) == 0xffff;
}

constexpr const char* kEveryProtocol = "udp,tcp,icmp,udp6,tcp6,icmp6,arp";

}  // namespace

TEST_CASE("the same seed gives the same packets, another seed others") {
  const Settings settings{{"sizes", "64-400"}, {"protocols", kEveryProtocol}, {"seed", 7.0}};
  Settings other = settings;
  other["seed"] = 8.0;
  const auto a = take(*start(settings), 3000);
  const auto b = take(*start(settings), 3000);
  const auto c = take(*start(other), 3000);
  for (size_t i = 0; i < a.size(); i++) {
    REQUIRE(a[i].number == i);
    REQUIRE(b[i].number == i);
    REQUIRE(a[i].bytes == b[i].bytes);
  }
  CHECK_FALSE(
      std::equal(a.begin(), a.end(), c.begin(), [](const auto& x, const auto& y) { return x.bytes == y.bytes; }));
}

TEST_CASE("frames repeat when the memory is used up, and a packet's bytes do not depend on what was lost before") {
  const Settings flat{{"sizes", "64-200"}, {"bufferBytes", 32768.0}};
  const auto all = take(*start(flat), 2000);
  size_t period = 1;
  while (period < 1000 && !(all[0].bytes == all[period].bytes && all[1].bytes == all[period + 1].bytes)) period++;
  REQUIRE(period < 1000);
  for (size_t i = period; i < all.size(); i++) REQUIRE(all[i].bytes == all[i - period].bytes);

  Settings paced = flat;
  paced["rate"] = 200'000.0;
  paced["backlog"] = 10.0;
  const auto source = start(paced);
  for (int round = 0; round < 20; round++) {
    std::this_thread::sleep_for(1ms);
    for (const Packet& packet : take(*source, 5, nullptr, 5000)) {
      REQUIRE(packet.bytes == all[packet.number % period].bytes);
    }
  }
  const Stats stats = source->stats();
  CHECK(stats.drops[0].name == "ring");
  CHECK(*stats.drops[0].count > 1000);
  CHECK(stats.received == stats.delivered + stats.dropped + stats.pending);
}

TEST_CASE("lengths and checksums are right for every protocol, every size, tagged or not") {
  for (const double vlan : {0.0, 5.0}) {
    CAPTURE(vlan);
    const auto packets = take(*start({{"sizes", "60-333"}, {"protocols", kEveryProtocol}, {"vlanId", vlan}}), 5000);
    for (const Packet& packet : packets) {
      REQUIRE(well_formed(packet.bytes));
      REQUIRE((half(packet.bytes, 12) == 0x8100) == (vlan != 0));
      if (vlan != 0) REQUIRE(half(packet.bytes, 14) == 5);
    }
  }
  for (const Packet& packet : take(*start({{"sizes", "9018"}, {"bufferBytes", 200'000.0}}), 20)) {
    CHECK(packet.bytes.size() == 9018);
    CHECK(well_formed(packet.bytes));
  }
}

TEST_CASE("imix is 7:4:1 of 64, 570 and 1518 bytes") {
  std::map<size_t, int> count;
  for (const Packet& packet : take(*start({{"sizes", "imix"}, {"bufferBytes", double{1 << 25}}}), 36'000)) {
    count[packet.bytes.size()]++;
  }
  CHECK(count.size() == 3);
  CHECK(count[64] == doctest::Approx(21'000).epsilon(0.03));
  CHECK(count[570] == doctest::Approx(12'000).epsilon(0.03));
  CHECK(count[1518] == doctest::Approx(3'000).epsilon(0.06));
}

TEST_CASE("sizes lie within the range, all of it is used, and flows are as many as asked for") {
  std::set<size_t> sizes;
  std::set<Bytes> flows;
  for (const Packet& packet : take(*start({{"sizes", "64-127"}, {"flows", 10.0}, {"protocols", "udp"}}), 4000)) {
    sizes.insert(packet.bytes.size());
    flows.insert(Bytes(packet.bytes.begin() + 26, packet.bytes.begin() + 38));
  }
  CHECK(*sizes.begin() == 64);
  CHECK(*sizes.rbegin() == 127);
  CHECK(sizes.size() == 64);
  CHECK(flows.size() == 10);
}

TEST_CASE("dropEvery loses each n-th packet and counts it") {
  const auto source = start({{"dropEvery", 10.0}, {"count", 1000.0}});
  Rx rx = Rx::kOk;
  const auto packets = take(*source, 2000, &rx);
  CHECK(rx == Rx::kEof);
  CHECK(packets.size() == 900);
  for (const Packet& packet : packets) CHECK((packet.number + 1) % 10 != 0);
  const Stats stats = source->stats();
  CHECK(stats.received == 1000);
  CHECK(stats.dropped == 100);
  CHECK(stats.drops[1].name == "injected");
  CHECK(stats.drops[1].count == 100);
}

TEST_CASE("corruptEvery flips one bit of each n-th packet and flags it") {
  const auto damaged = take(*start({{"sizes", "64-90"}, {"corruptEvery", 4.0}}), 3000);
  int corrupt = 0;
  int broken = 0;
  for (const Packet& packet : damaged) {
    const bool flagged = (packet.flags & kFlagCorrupt) != 0;
    REQUIRE(flagged == ((packet.number + 1) % 4 == 0));
    corrupt += flagged;
    broken += !well_formed(packet.bytes);
    if (!flagged) REQUIRE(well_formed(packet.bytes));
  }
  CHECK(corrupt == 750);
  CHECK(broken > 500);  // a bit of a MAC address is in no checksum

  const auto damaged_twins = take(*start({{"sizes", "64-90"}, {"corruptEvery", 1.0}, {"bufferBytes", 32768.0}}), 100);
  const auto whole = take(*start({{"sizes", "64-90"}, {"corruptEvery", 1000.0}, {"bufferBytes", 32768.0}}), 100);
  for (size_t i = 0; i < whole.size(); i++) {
    int bits = 0;
    REQUIRE(whole[i].bytes.size() == damaged_twins[i].bytes.size());
    for (size_t b = 0; b < whole[i].bytes.size(); b++) {
      bits += std::popcount(std::to_integer<unsigned>(whole[i].bytes[b] ^ damaged_twins[i].bytes[b]));
    }
    REQUIRE(bits == 1);
  }
}

TEST_CASE("stallAfter gives nothing for stallMs, once, and loses nothing") {
  const auto source = start({{"stallAfter", 100.0}, {"stallMs", 50.0}, {"count", 300.0}});
  CHECK(source->readiness().kind == Readiness::Kind::kPoll);
  CHECK(take(*source, 100).size() == 100);
  const auto begin = Clock::now();
  DescBlock block(64);
  CHECK(source->receive(block, 64).rx == Rx::kAgain);
  CHECK_FALSE(source->pending());
  Rx rx = Rx::kOk;
  const auto rest = take(*source, 1000, &rx);
  CHECK(Clock::now() - begin >= 50ms);
  CHECK(rest.size() == 200);
  CHECK(rest.front().number == 100);
  CHECK(rx == Rx::kEof);
}

TEST_CASE("errorAfter fails with RINGTAP_INJECTED after so many packets, unless count comes first") {
  const auto source = start({{"errorAfter", 100.0}, {"count", 200.0}});
  Rx rx = Rx::kOk;
  CHECK(take(*source, 1000, &rx).size() == 100);
  CHECK(rx == Rx::kError);
  CHECK(source->error().code == Code::kInjected);
  take(*start({{"errorAfter", 200.0}, {"count", 100.0}}), 1000, &rx);
  CHECK(rx == Rx::kEof);
}

TEST_CASE("a rate is kept, and nothing comes due before the start or after an end") {
  Clock::duration best = 1h;
  for (int attempt = 0; attempt < 5 && best >= 1s; attempt++) {  // other processes can make some late, not all
    auto opened = try_open({{"rate", 50'000.0}, {"count", 5000.0}});
    REQUIRE(opened);
    Source& source = **opened;
    CHECK(source.stats().received == 0);
    CHECK_FALSE(source.pending());
    const auto begin = Clock::now();
    REQUIRE(source.start());
    CHECK(take(source, 5000, nullptr, 20'000).size() == 5000);
    const auto took = Clock::now() - begin;
    CHECK(took > 95ms);
    best = std::min(best, took);
  }
  CHECK(best < 1s);

  const auto failing = start({{"rate", 1e6}, {"errorAfter", 100.0}});
  Rx rx = Rx::kOk;
  take(*failing, 1000, &rx);
  CHECK(rx == Rx::kError);
  std::this_thread::sleep_for(2ms);
  CHECK(failing->stats().received == 100);
  CHECK(failing->stats().pending == 0);
}

TEST_CASE("a filter that rejects everything does not keep receive() for long") {
  class Nothing final : public Filter {
    Result<const Program*> program(const FilterTarget&) override { return &program_; }
    Program program_{{.code = 6, .k = 0}};
  };
  auto opened = try_open({{"bufferBytes", double{64 << 20}}});
  REQUIRE(opened);
  REQUIRE((*opened)->set_filter(std::make_shared<Nothing>()));
  REQUIRE((*opened)->start());
  DescBlock block(64);
  CHECK((*opened)->receive(block, 64).rx == Rx::kAgain);
  CHECK((*opened)->stats().filtered <= 65536);
  CHECK((*opened)->stats().filtered > 0);
}

TEST_CASE("bad sizes and protocols are refused by name") {
  for (const char* sizes : {"", "x", "59", "9019", "64-", "100-64", "64-99999", "64 bytes"}) {
    CAPTURE(sizes);
    const auto opened = try_open({{"sizes", sizes}});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Code::kBadOption);
    CHECK(opened.error().message.find(sizes) != std::string::npos);
  }
  for (const char* protocols : {"", "sctp", "udp,", ",", "UDP"}) {
    CAPTURE(protocols);
    const auto opened = try_open({{"protocols", protocols}});
    CHECK(bool(opened) == (std::string(protocols) == "udp,"));
  }
}
