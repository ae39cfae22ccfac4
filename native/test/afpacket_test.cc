// Live tests run in a lab (scripts/lab.mjs); the ring's walk is tested on memory of our own.
#include "backends/afpacket/afpacket.h"

#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "backends/afpacket/guard.h"
#include "backends/afpacket/inline_nic.h"
#include "backends/afpacket/ring.h"
#include "filter/opcodes.h"
#include "test/conformance_lab.h"

using namespace ringtap;
using namespace ringtap::test;
using namespace std::chrono_literals;
using afpacket::Ring;
using Clock = std::chrono::steady_clock;

namespace {

#define NEEDS_LAB()                                     \
  if (!in_lab()) {                                      \
    MESSAGE("not run: needs a lab, see `npm run lab`"); \
    return;                                             \
  }

void shell(const std::string& command) { REQUIRE_MESSAGE(std::system(command.c_str()) == 0, command); }

// ---- a ring of our own -----------------------------------------------------------------------------------------

constexpr uint32_t kBlockBytes = 4096;
constexpr uint32_t kBlocks = 4;

/// Blocks as the kernel would fill them, in memory of exactly their size: a sanitizer sees each step beyond it.
struct FakeRing {
  std::byte* memory = new std::byte[size_t{kBlockBytes} * kBlocks]();
  Ring ring{std::make_shared<Region>(memory, size_t{kBlockBytes} * kBlocks, [](std::byte* p, size_t) { delete[] p; }),
            kBlockBytes, kBlocks};

  tpacket_block_desc& block(uint32_t i) {
    return *reinterpret_cast<tpacket_block_desc*>(memory + size_t{i} * kBlockBytes);
  }
  bool kernel_owns(uint32_t i) { return (block(i).hdr.bh1.block_status & TP_STATUS_USER) == 0; }

  /// Fills a block with packets of the given lengths.
  void fill(uint32_t i, const std::vector<uint32_t>& lengths) {
    auto& header = block(i).hdr.bh1;
    std::byte* base = memory + size_t{i} * kBlockBytes;
    uint32_t at = TPACKET_ALIGN(sizeof(tpacket_block_desc));
    header.offset_to_first_pkt = at;
    header.num_pkts = static_cast<uint32_t>(lengths.size());
    for (const uint32_t length : lengths) {
      tpacket3_hdr packet{};
      packet.tp_mac = TPACKET_ALIGN(afpacket::kFrameHead) + afpacket::kHeadroom;
      packet.tp_snaplen = packet.tp_len = length;
      packet.tp_next_offset = TPACKET_ALIGN(packet.tp_mac + length);
      REQUIRE(at + packet.tp_mac + length <= kBlockBytes);
      std::memcpy(base + at, &packet, sizeof packet);
      std::memset(base + at + packet.tp_mac, static_cast<int>(length), length);
      at += packet.tp_next_offset;
    }
    header.block_status = TP_STATUS_USER;
  }

  /// Walks the current block to its end as the source does; every byte of every packet is touched.
  struct Walked {
    uint32_t packets = 0;
    uint32_t damaged = 0;
    uint64_t sum = 0;
  };
  Walked walk() {
    Walked walked;
    while (ring.has_packets()) {
      const auto frame = ring.peek();
      if (!frame) {
        walked.damaged += ring.skip_block();
        break;
      }
      const auto begin = static_cast<size_t>(ring.at() - memory);
      const size_t end = (begin / kBlockBytes + 1) * kBlockBytes;
      REQUIRE(begin / kBlockBytes == ring.block());
      REQUIRE(begin + frame->data + frame->caplen <= end);
      REQUIRE(frame->data >= afpacket::kFrameHead);
      for (const std::byte* p = ring.at(); p < ring.at() + frame->data + frame->caplen; p++) {
        walked.sum += std::to_integer<uint64_t>(*p);
      }
      ring.pop(*frame);
      walked.packets++;
    }
    return walked;
  }
};

// ---- a live capture --------------------------------------------------------------------------------------------

Options options(std::initializer_list<std::pair<const char*, Options::Value>> values = {}) {
  Options result;
  result.set("bufferBytes", double{4 << 20});
  result.set("blockBytes", 65536.0);
  for (const auto& [name, value] : values) result.set(name, value);
  return result;
}

std::shared_ptr<Filter> program(Program insns) { return std::make_shared<FixedFilter>(std::move(insns)); }

struct Received {
  Bytes bytes;
  uint32_t wirelen;
  uint32_t flags;
  uint16_t vlan;
};

class Capture {
 public:
  explicit Capture(Options opts = options(), std::shared_ptr<Filter> filter = nullptr,
                   const std::string& target = kCaptureHere) {
    auto opened = open_afpacket({.uri = "afpacket:" + target, .target = target, .options = std::move(opts)});
    REQUIRE_MESSAGE(bool(opened), opened.error().message);
    source = *std::move(opened);
    if (filter != nullptr) {
      auto placed = source->set_filter(std::move(filter));
      REQUIRE(placed);
      placement = *placed;
    }
    const auto started = source->start();
    REQUIRE_MESSAGE(bool(started), started.error().message);
  }

  /// Receives until the kernel has nothing more, or the source ends.
  std::vector<Received> drain(Rx* end = nullptr) {
    std::vector<Received> packets;
    DescBlock block(256);
    const auto deadline = Clock::now() + 5s;
    for (;;) {
      const RxBatch batch = source->receive(block, 256);
      if (end != nullptr) *end = batch.rx;
      if (batch.rx == Rx::kError || batch.rx == Rx::kEof) return packets;
      if (batch.rx == Rx::kAgain) {
        if (end == nullptr && source->stats().pending == 0) return packets;
        REQUIRE(Clock::now() < deadline);
        wait_for(*source, 100);
        continue;
      }
      REQUIRE(batch.rx == Rx::kOk);
      const std::byte* base = source->info().segments.at(batch.segment).base;
      for (uint32_t i = 0; i < batch.count; i++) {
        const std::byte* at = base + block.offset[i];
        packets.push_back({Bytes(at, at + block.caplen[i]), block.wirelen[i], block.flags[i], block.vlan[i]});
      }
      source->release(batch.lease);
    }
  }

  std::unique_ptr<Source> source;
  FilterPlacement placement;
};

std::optional<uint64_t> number(const Received& packet, size_t skip = 0) {
  return number_of({.bytes = std::span(packet.bytes).subspan(skip),
                    .wirelen = packet.wirelen - static_cast<uint32_t>(skip),
                    .time_ns = 0});
}

/// The numbered frame with an 802.1Q tag.
Bytes tagged_frame(uint64_t n, uint16_t tci) {
  Bytes frame = numbered_frame(n);
  const std::byte tag[] = {std::byte{0x81}, std::byte{0}, static_cast<std::byte>(tci >> 8),
                           static_cast<std::byte>(tci)};
  frame.insert(frame.begin() + 12, std::begin(tag), std::end(tag));
  return frame;
}

/// Accepts Ethernet frames with this type in the bytes.
Program ether_type(uint32_t type, uint32_t accepted = 262144) {
  using namespace bpf;
  return {{.code = kLd | kH | kAbs, .k = 12},
          {.code = kJmp | kJeq | kK, .jt = 0, .jf = 1, .k = type},
          {.code = kRet | kK, .k = accepted},
          {.code = kRet | kK, .k = 0}};
}

/// The same in front of a shift that the kernel would do otherwise: it has to run in user space.
Program in_user_space(const Program& tail) {
  using namespace bpf;
  Program result{{.code = kLdx | kImm, .k = 40}, {.code = kAlu | kLsh | kX}};
  result.insert(result.end(), tail.begin(), tail.end());
  return result;
}

}  // namespace

TEST_CASE("a walk shows each packet of a filled block once, and the block goes back after the last lease on it") {
  FakeRing fake;
  Ring& ring = fake.ring;
  CHECK(ring.advance() == Ring::Next::kEmpty);
  fake.fill(0, {60, 100, 1000});
  fake.fill(1, {});
  fake.fill(2, {64});
  REQUIRE(ring.advance() == Ring::Next::kReady);
  for (const uint32_t length : {60u, 100u, 1000u}) {
    const auto frame = ring.peek();
    REQUIRE(frame);
    CHECK(frame->caplen == length);
    CHECK(ring.at()[frame->data] == static_cast<std::byte>(length));
    CHECK(ring.at()[frame->data + length - 1] == static_cast<std::byte>(length));
    ring.pop(*frame);
    ring.lend();
  }
  CHECK_FALSE(ring.has_packets());
  REQUIRE(ring.advance() == Ring::Next::kReady);  // the empty one goes back at once
  CHECK_FALSE(ring.has_packets());
  CHECK(fake.kernel_owns(1));
  REQUIRE(ring.advance() == Ring::Next::kReady);
  CHECK(ring.block() == 2);
  CHECK(fake.walk().packets == 1);
  ring.settle();
  CHECK(fake.kernel_owns(2));
  for (int lease = 0; lease < 3; lease++) {
    CHECK_FALSE(fake.kernel_owns(0));
    ring.give_back(0);
  }
  CHECK(fake.kernel_owns(0));
}

TEST_CASE("a ring goes no further than a block that is still lent") {
  FakeRing fake;
  for (uint32_t i = 0; i < kBlocks; i++) fake.fill(i, {60});
  for (uint32_t i = 0; i < kBlocks; i++) {
    REQUIRE(fake.ring.advance() == Ring::Next::kReady);
    fake.walk();
    if (i == 0) fake.ring.lend();
    fake.ring.settle();
    if (i != 0) fake.fill(i, {60});
  }
  CHECK(fake.ring.advance() == Ring::Next::kHeld);
  fake.ring.give_back(0);
  CHECK(fake.ring.advance() == Ring::Next::kEmpty);
}

TEST_CASE("whatever the headers say, a walk stays inside its block, ends, and accounts for the packets it gave up") {
  std::mt19937 random(20261121);
  const auto below = [&random](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
  const auto nasty = [&]() -> uint32_t {
    const uint32_t values[] = {0,          1,         47, 48, 67, 68, kBlockBytes - 1, kBlockBytes, kBlockBytes + 1,
                               0x7fffffff, 0xffffffff};
    return below(2) == 0   ? values[below(std::size(values))]
           : below(3) == 0 ? static_cast<uint32_t>(random())
                           : below(8192);
  };
  uint64_t walked = 0;
  uint64_t damaged = 0;
  for (int round = 0; round < 50'000; round++) {
    FakeRing fake;
    std::vector<uint32_t> lengths(below(6));
    for (uint32_t& length : lengths) length = below(400);
    fake.fill(0, lengths);
    std::byte* block = fake.memory;
    if (below(8) == 0) {
      for (uint32_t i = 0; i < kBlockBytes; i += 4) {
        const uint32_t word = nasty();
        std::memcpy(block + i, &word, 4);
      }
    }
    for (uint32_t changes = below(8); changes > 0; changes--) {
      const uint32_t word = nasty();
      uint32_t at = below(kBlockBytes / 4) * 4;
      if (below(4) != 0) {  // the block's header or that of the first packets
        at = below(3) == 0 ? 8 + below(10) * 4 : 48 + below(4) * 180 / 4 * 4 + below(12) * 4;
      }
      std::memcpy(block + at, &word, 4);
    }
    fake.block(0).hdr.bh1.block_status = TP_STATUS_USER;
    REQUIRE(fake.ring.advance() == Ring::Next::kReady);
    const uint32_t announced = fake.ring.remaining();
    REQUIRE(announced <= kBlockBytes / afpacket::kFrameHead);
    const auto result = fake.walk();
    REQUIRE(result.packets + result.damaged == announced);
    REQUIRE(fake.ring.remaining() == 0);
    fake.ring.settle();
    REQUIRE(fake.kernel_owns(0));
    walked += result.packets;
    damaged += result.damaged;
  }
  CHECK(walked > 10'000);
  CHECK(damaged > 10'000);
}

TEST_CASE("what a tiny ring could not take is counted to the packet") {
  NEEDS_LAB();
  for (const double bytes : {131072.0, 262144.0}) {
    Capture capture(options({{"bufferBytes", bytes}}));
    Sender sender(kSendHere);
    sender.send_numbered(0, 5000);
    const auto packets = capture.drain();
    const Stats stats = capture.source->stats();
    CHECK(stats.drops[0].name == "ring");
    CHECK(*stats.drops[0].count > 0);
    CHECK(stats.delivered == packets.size());
    CHECK(stats.delivered + *stats.drops[0].count == 5000);
    CHECK(stats.received == 5000);
    CHECK(stats.pending == 0);
  }
}

TEST_CASE("a VLAN tag is put back in place, or left as metadata") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  Capture in_place;
  Capture metadata(options({{"vlan", "metadata"}}));
  Capture cut(options({{"snaplen", 30.0}}));
  for (uint64_t n = 0; n < 100; n++) sender.send(n % 2 == 0 ? tagged_frame(n, 0x2005) : numbered_frame(n));

  const auto inside = in_place.drain();
  REQUIRE(inside.size() == 100);
  for (uint64_t n = 0; n < 100; n++) {
    CHECK(inside[n].bytes == (n % 2 == 0 ? tagged_frame(n, 0x2005) : numbered_frame(n)));
    CHECK(inside[n].wirelen == inside[n].bytes.size());
    CHECK(inside[n].flags == 0);
  }
  const auto beside = metadata.drain();
  REQUIRE(beside.size() == 100);
  for (uint64_t n = 0; n < 100; n++) {
    CHECK(number(beside[n]) == n);
    CHECK(beside[n].flags == (n % 2 == 0 ? uint32_t{kFlagVlan} : 0u));
    CHECK(beside[n].vlan == (n % 2 == 0 ? 0x2005 : 0));
  }
  for (const Received& packet : cut.drain()) CHECK(packet.bytes.size() == 30);
}

TEST_CASE("a filter sees a VLAN tag where it is on the wire, wherever it runs and whatever the snaplen") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  for (const bool user : {false, true}) {
    for (const double snaplen : {262144.0, 16.0}) {
      for (const char* vlan : {"inline", "metadata"}) {
        CAPTURE(user);
        CAPTURE(snaplen);
        CAPTURE(vlan);
        const auto opened = [&](const Program& p) {
          auto capture = std::make_unique<Capture>(options({{"snaplen", snaplen}, {"vlan", vlan}}),
                                                   program(user ? in_user_space(p) : p));
          CHECK(capture->placement.where == (user ? FilterPlace::kUser : FilterPlace::kKernel));
          return capture;
        };
        const auto tagged = opened(ether_type(ETH_P_8021Q));
        const auto plain = opened(ether_type(0x88b5));
        const auto behind = opened(
            Program{{.code = bpf::kLd | bpf::kB | bpf::kAbs, .k = 50}, {.code = bpf::kRet | bpf::kK, .k = 262144}});
        for (uint64_t n = 0; n < 60; n++) sender.send(n % 3 == 0 ? tagged_frame(n, 5) : numbered_frame(n));
        CHECK(tagged->drain().size() == 20);
        CHECK(plain->drain().size() == 40);
        CHECK(behind->drain().size() == 60);
        const Stats stats = plain->source->stats();
        CHECK(stats.filtered == 20);  // decided here; what the kernel rejects is counted nowhere
        CHECK(stats.received == 60);
        CHECK(tagged->source->stats().filtered == (user ? 40 : 0));
      }
    }
  }
}

TEST_CASE("a filter's accept length cuts in user space as it does in the kernel, never beyond the snaplen") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  const Program accept_a{{.code = bpf::kLd | bpf::kImm, .k = 60}, {.code = bpf::kRet | bpf::kA}};
  Capture kernel(options({{"snaplen", 50.0}}), program(ether_type(0x88b5, 40)));
  Capture user(options({{"snaplen", 50.0}}), program(in_user_space(ether_type(0x88b5, 40))));
  Capture computed(options({{"snaplen", 50.0}}), program(accept_a));
  sender.send_numbered(0, 50);
  for (const Received& packet : kernel.drain()) CHECK(packet.bytes.size() == 40);
  for (const Received& packet : user.drain()) CHECK(packet.bytes.size() == 40);
  for (const Received& packet : computed.drain()) CHECK(packet.bytes.size() == 50);
}

TEST_CASE("a filter that never ends is run on a few packets a receive(), and all are accounted for") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  Capture capture(options(), program({{.code = bpf::kJmp | bpf::kJa, .k = 0xffffffff}, {.code = bpf::kRet | bpf::kK}}));
  CHECK(capture.placement.where == FilterPlace::kUser);
  sender.send_numbered(0, 300);
  DescBlock block(256);
  uint64_t filtered = 0;
  const auto deadline = Clock::now() + 20s;
  while (filtered < 300 && Clock::now() < deadline) {
    CHECK(capture.source->receive(block, 256).rx == Rx::kAgain);
    const Stats stats = capture.source->stats();
    CHECK(stats.filtered - filtered <= 3);
    CHECK(stats.received == stats.filtered + stats.dropped + stats.pending);
    if (stats.filtered == filtered) wait_for(*capture.source, 100);  // what is left is still readable
    filtered = stats.filtered;
  }
  CHECK(filtered == 300);
}

TEST_CASE("a program may ask for a packet's type and interface, tagged or not") {
  NEEDS_LAB();
  Sender there(kSendHere);
  Sender here(kCaptureHere);
  const auto asking = [](uint32_t offset, uint32_t value) {
    using namespace bpf;
    return program({{.code = kLd | kW | kAbs, .k = offset},
                    {.code = kJmp | kJeq | kK, .jt = 0, .jf = 1, .k = value},
                    {.code = kRet | kK, .k = 262144},
                    {.code = kRet | kK}});
  };
  Capture outgoing(options(), asking(bpf::kPacketType, PACKET_OUTGOING));
  Capture this_one(options(), asking(bpf::kInterfaceIndex, if_nametoindex(kCaptureHere.c_str())));
  Capture other(options(), asking(bpf::kInterfaceIndex, if_nametoindex(kSendHere.c_str())));
  CHECK(outgoing.placement.where == FilterPlace::kKernel);
  for (uint64_t n = 0; n < 40; n++)
    (n % 4 == 0 ? here : there).send(n % 2 == 0 ? numbered_frame(n) : tagged_frame(n, 5));
  here.send(tagged_frame(40, 5));
  CHECK(outgoing.drain().size() == 11);
  CHECK(this_one.drain().size() == 41);
  CHECK(other.drain().empty());
}

TEST_CASE("the direction is kept and flagged") {
  NEEDS_LAB();
  Sender there(kSendHere);
  Sender here(kCaptureHere);
  Capture both;
  Capture in(options({{"direction", "in"}}));
  Capture out(options({{"direction", "out"}}));
  for (uint64_t n = 0; n < 40; n++) (n % 4 == 0 ? here : there).send(numbered_frame(n));
  const auto all = both.drain();
  REQUIRE(all.size() == 40);
  for (uint64_t n = 0; n < 40; n++) {
    CHECK(number(all[n]) == n);
    CHECK(all[n].flags == (n % 4 == 0 ? uint32_t{kFlagOutgoing} : 0u));
  }
  CHECK(in.drain().size() == 30);
  CHECK(out.drain().size() == 10);
}

TEST_CASE("any shows every interface, with an SLL2 header in front that filters see") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  Capture in(options({{"direction", "in"}}), nullptr, "any");
  CHECK(in.source->info().link_type == 276);
  Program protocol = ether_type(0x88b5);
  protocol[0].k = 0;  // an SLL2 header begins with the protocol
  Capture both(options(), program(protocol), "any");
  CHECK(both.placement.where == FilterPlace::kUser);
  sender.send_numbered(0, 50);
  const auto packets = in.drain();
  REQUIRE(packets.size() == 50);
  for (uint64_t n = 0; n < 50; n++) {
    // Behind the header comes what follows the Ethernet header: 14 bytes less.
    const Bytes sent = numbered_frame(n);
    CHECK(std::equal(packets[n].bytes.begin() + 20, packets[n].bytes.end(), sent.begin() + 14, sent.end()));
    CHECK(packets[n].wirelen == sent.size() + 6);
    CHECK(packets[n].bytes[0] == std::byte{0x88});
    CHECK(packets[n].bytes[1] == std::byte{0xb5});
  }
  CHECK(both.drain().size() == 100);  // leaving rt0 and arriving at rt1
}

TEST_CASE("on any a tag is behind the SLL2 header, or beside it, and filters see it where it is on the wire") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  Program protocol = ether_type(0x8100);
  protocol[0].k = 0;
  Capture in_place(options({{"direction", "in"}}), program(protocol), "any");
  Capture beside(options({{"direction", "in"}, {"vlan", std::string("metadata")}}), program(protocol), "any");
  sender.send(numbered_frame(1));
  sender.send(tagged_frame(2, 0x6005));
  const Bytes sent = numbered_frame(2);
  const auto tagged = in_place.drain();
  REQUIRE(tagged.size() == 1);
  CHECK(tagged[0].flags == 0);
  CHECK(tagged[0].wirelen == 20 + 4 + sent.size() - 14);
  REQUIRE(tagged[0].bytes.size() == tagged[0].wirelen);
  const auto half = [](const Bytes& bytes, size_t at) {
    return std::to_integer<uint32_t>(bytes[at]) << 8 | std::to_integer<uint32_t>(bytes[at + 1]);
  };
  CHECK(half(tagged[0].bytes, 0) == 0x8100);
  CHECK(half(tagged[0].bytes, 20) == 0x6005);
  CHECK(half(tagged[0].bytes, 22) == 0x88b5);
  CHECK(std::equal(tagged[0].bytes.begin() + 24, tagged[0].bytes.end(), sent.begin() + 14, sent.end()));
  const auto plain = beside.drain();
  REQUIRE(plain.size() == 1);
  CHECK(plain[0].vlan == 0x6005);
  CHECK(plain[0].flags == kFlagVlan);
  CHECK(half(plain[0].bytes, 0) == 0x88b5);
  CHECK(half(plain[0].bytes, 4) == 0);  // the interface's index
  CHECK(half(plain[0].bytes, 6) == if_nametoindex(kCaptureHere.c_str()));
  CHECK(std::equal(plain[0].bytes.begin() + 20, plain[0].bytes.end(), sent.begin() + 14, sent.end()));
}

TEST_CASE("the members of a fanout group share the packets") {
  NEEDS_LAB();
  Sender sender(kSendHere);
  const Options shared = options({{"share", 4711.0}, {"shareMode", "lb"}});
  Capture first(shared);
  Capture second(shared);
  sender.send_numbered(0, 1000);
  std::vector<uint64_t> numbers;
  for (Capture* capture : {&first, &second}) {
    const auto packets = capture->drain();
    CHECK(packets.size() == 500);
    for (const Received& packet : packets) numbers.push_back(number(packet).value());
  }
  std::sort(numbers.begin(), numbers.end());
  CHECK(std::unique(numbers.begin(), numbers.end()) == numbers.end());
  CHECK(numbers.size() == 1000);
}

TEST_CASE("an interface that goes down or away ends the capture with its own error, after the last packet, for good") {
  NEEDS_LAB();
  const struct {
    const char* command;
    Code code;
  } kWays[] = {{"ip link set cf1 down", Code::kInterfaceDown}, {"ip link del cf1", Code::kInterfaceGone}};
  for (const auto& way : kWays) {
    CAPTURE(way.command);
    shell("ip link add cf0 type veth peer name cf1 && ip link set cf0 up && ip link set cf1 up");
    Capture capture(options(), nullptr, "cf1");
    Sender("cf0").send_numbered(0, 100);
    shell(way.command);
    Rx end = Rx::kAgain;
    CHECK(capture.drain(&end).size() == 100);
    CHECK(end == Rx::kError);
    CHECK(capture.source->error().code == way.code);
    if (way.code == Code::kInterfaceDown) {
      shell("ip link set cf1 up");
      Sender("cf0").send_numbered(0, 10);
      std::this_thread::sleep_for(30ms);
      CHECK(capture.drain(&end).empty());
      CHECK(end == Rx::kError);
      shell("ip link del cf0");
    }
  }
}

TEST_CASE("nothing is captured any more after close, even while somebody still looks at the ring") {
  NEEDS_LAB();
  const auto promiscuous = [] {
    return std::system(("ip -d link show " + kCaptureHere + " | grep -q 'promiscuity 1'").c_str()) == 0;
  };
  Sender sender(kSendHere);
  Capture capture;
  CHECK(promiscuous());
  const std::vector<Segment> segments = capture.source->info().segments;
  const std::span<const std::byte> ring(segments[0].base, segments[0].bytes);
  sender.send_numbered(0, 10);
  capture.drain();
  capture.source->close();
  CHECK_FALSE(promiscuous());
  const Bytes before(ring.begin(), ring.end());
  sender.send_numbered(0, 500);
  std::this_thread::sleep_for(30ms);
  CHECK(std::equal(ring.begin(), ring.end(), before.begin()));
}

TEST_CASE("a ring that is scribbled over while it is read gives no packet outside of it and keeps the ledger") {
  NEEDS_LAB();
  Capture capture;
  Sender sender(kSendHere);
  Source& source = *capture.source;
  const Segment segment = source.info().segments[0];
  std::mt19937 random(3);
  DescBlock block(64);
  for (int round = 0; round < 300; round++) {
    sender.send_numbered(0, 20);
    wait_for(source, 20);
    // As JS could: the block and packet headers, too. Atomic, because the kernel and receive() look at them.
    for (int i = 0; i < 200; i++) {
      const size_t in_block = random() % 4 == 0 ? random() % 65536 : random() % 4096;
      const size_t at = (random() % (segment.bytes / 65536) * 65536 + in_block) & ~size_t{3};
      __atomic_store_n(reinterpret_cast<uint32_t*>(segment.base + at), random() % 3 == 0 ? random() : random() % 300,
                       __ATOMIC_RELAXED);
    }
    for (int batches = 0; batches < 50; batches++) {
      const RxBatch batch = source.receive(block, 64);
      if (batch.rx != Rx::kOk) break;
      for (uint32_t i = 0; i < batch.count; i++) {
        REQUIRE(uint64_t{block.offset[i]} + block.caplen[i] <= segment.bytes);
      }
      REQUIRE(source.release(batch.lease));
      const Stats stats = source.stats();
      REQUIRE(stats.received == stats.delivered + stats.filtered + stats.dropped + stats.pending);
    }
  }
}

TEST_CASE("what cannot be opened says why") {
  NEEDS_LAB();
  const auto code = [](const std::string& target, Options opts) {
    const auto opened = open_afpacket({.uri = "afpacket:" + target, .target = target, .options = std::move(opts)});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().message.find(target) != std::string::npos);
    return opened.error().code;
  };
  CHECK(code("nosuch0", options()) == Code::kNoInterface);
  CHECK(code("", options()) == Code::kNoInterface);
  CHECK(code("a-name-longer-than-sixteen-characters", options()) == Code::kNoInterface);
  CHECK(code(kCaptureHere, options({{"blockBytes", 65537.0}})) == Code::kBadOption);
  shell("ip link add cf0 type veth peer name cf1");
  CHECK(code("cf0", options()) == Code::kInterfaceDown);
  shell("ip link del cf0");
}

// ---- the guard of a forwarder ------------------------------------------------------------------------------------

namespace {

/// A kernel before 6.6, for this thread: it knows no such place to attach a program to.
void refuse_links() {
  constexpr uint32_t kLinkCreate = 28;
  const auto field = [](size_t at) { return static_cast<uint32_t>(at); };
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, field(offsetof(seccomp_data, nr))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, field(offsetof(seccomp_data, args))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kLinkCreate, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = static_cast<unsigned short>(std::size(program)), .filter = program};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

}  // namespace

TEST_CASE("where the kernel cannot keep the host from answering, a host that forwards is refused, and GENEVE is") {
  NEEDS_LAB();
  const std::string forwarding = "/proc/sys/net/ipv4/conf/" + kCaptureHere + "/forwarding";
  const int interface = static_cast<int>(if_nametoindex(kCaptureHere.c_str()));
  std::thread([&] {
    refuse_links();
    const auto plain = afpacket::Guard::open(interface, kCaptureHere);
    REQUIRE(plain);
    CHECK_FALSE(plain->is_there());
    auto nic = afpacket::open_inline_nic(kCaptureHere);
    REQUIRE(nic);
    forward::Address address;
    address.bytes[0] = std::byte{10};
    CHECK((*nic)->guard({address}));
    const auto tunnels = (*nic)->guard_tunnels({address});
    REQUIRE_FALSE(tunnels);
    CHECK(tunnels.error().code == Code::kUnsupported);
    shell("echo 1 > " + forwarding);
    const auto refused = afpacket::Guard::open(interface, kCaptureHere);
    shell("echo 0 > " + forwarding);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kUnsupported);
    CHECK(refused.error().err == EINVAL);
    CHECK(refused.error().hint.find("Linux 6.6") != std::string::npos);
  }).join();
}
