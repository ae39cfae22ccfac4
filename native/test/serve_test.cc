#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <random>
#include <vector>

#include "core/unique_fd.h"
#include "format/rpcap.h"
#include "format/rpcap_pack.h"
#include "serve/outlet.h"
#include "serve/own_traffic.h"

using namespace ringtap;
using Bytes = std::vector<std::byte>;

namespace {

/// Packets of these sizes as a batch that lies in memory of its own.
struct Made {
  DescBlock block;
  Bytes segment;
  uint32_t count = 0;

  explicit Made(const std::vector<uint32_t>& sizes) : block(static_cast<uint32_t>(sizes.size())) {
    for (const uint32_t size : sizes) {
      const auto offset = static_cast<uint32_t>(segment.size());
      for (uint32_t i = 0; i < size; i++) segment.push_back(static_cast<std::byte>(count * 7 + i));
      block.set_basic(count, offset, size, size + 3, int64_t{count} * 1'000'001, 0);
      count++;
    }
  }
  BatchView view() const {
    return BatchView::of(block, count, segment.data(), segment.size(), 1'700'000'000'000'000'000, 1);
  }
  void check(const rpcap::Packet& packet, uint32_t i) const {
    CHECK(packet.number == i + 1);
    CHECK(packet.caplen == block.caplen[i]);
    CHECK(packet.wirelen == block.wirelen[i]);
    CHECK(uint64_t{packet.seconds} * 1'000'000 + packet.micros ==
          1'700'000'000'000'000 + uint64_t{i} * 1'000'001 / 1000);
    CHECK(std::equal(packet.data, packet.data + packet.caplen, segment.data() + block.offset[i]));
  }
};

std::vector<uint32_t> any_sizes(uint32_t count, uint32_t most) {
  std::mt19937 random(7);
  std::vector<uint32_t> sizes;
  for (uint32_t i = 0; i < count; i++) sizes.push_back(static_cast<uint32_t>(random() % (i % 5 == 0 ? most : 90)));
  return sizes;
}

/// A socket at the loopback that datagrams are read from.
struct Receiver {
  UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  uint16_t port = 0;

  Receiver() {
    const int wanted = 1 << 22;
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // SAFETY: the form that sockets have addresses in.
    auto* const address = reinterpret_cast<sockaddr*>(&own);
    socklen_t size = sizeof own;
    REQUIRE(bind(fd.get(), address, size) == 0);
    REQUIRE(getsockname(fd.get(), address, &size) == 0);
    port = ntohs(own.sin_port);
  }
  /// Empty: none is there.
  Bytes next() const {
    Bytes datagram(65536);
    const ssize_t got = recv(fd.get(), datagram.data(), datagram.size(), 0);
    datagram.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return datagram;
  }
};

}  // namespace

TEST_CASE("what is packed into datagrams of any size is read again, packet by packet") {
  for (const uint32_t most : {0u, 128u, 512u, 1472u, 8972u, 65000u}) {
    const Made made(any_sizes(400, 9000));
    rpcap::DatagramPacker packer(most);
    rpcap::DatagramReader reader(kMaxSnaplen);
    uint32_t read = 0;
    const auto take = [&] {
      for (const auto& [at, bytes, first, last] : packer.complete()) {
        if (most > 0) CHECK(bytes <= most);
        CHECK(first <= last);
        reader.begin({packer.memory() + at, bytes});
        for (rpcap::Packet packet; reader.next(packet); read++) made.check(packet, read);
      }
      packer.take(packer.complete().size());
    };
    for (uint32_t i = 0; i < made.count; i++) {
      const rpcap::Packet packet{.seconds = static_cast<uint32_t>(1'700'000'000 + i * 1'000'001ull / 1'000'000'000),
                                 .micros = static_cast<uint32_t>(i * 1'000'001ull % 1'000'000'000 / 1000),
                                 .caplen = made.block.caplen[i],
                                 .wirelen = made.block.wirelen[i],
                                 .number = i + 1,
                                 .data = made.segment.data() + made.block.offset[i]};
      if (!packer.has_room(packet.caplen)) take();
      REQUIRE(packer.add(packet));
      if (i % 37 == 0) take();
      if (i % 101 == 0) packer.finish();
    }
    packer.finish();
    take();
    CHECK(read == made.count);
    CHECK(reader.counters().damaged == 0);
    CHECK(reader.counters().lost == 0);
  }
}

TEST_CASE("an outlet of datagrams sends what it has got, the last with flush(), and counts it") {
  const Made made(any_sizes(300, 1500));
  for (const uint32_t most : {0u, 1472u}) {
    const Receiver receiver;
    auto outlet = datagram_outlet({.local = "127.0.0.1",
                                   .peer = "127.0.0.1",
                                   .port = receiver.port,
                                   .datagram_bytes = most,
                                   .buffer_bytes = 1 << 22});
    REQUIRE(outlet);
    CHECK((*outlet)->put(made.view(), 0, {}, NoRoom::kWaits) == made.count);
    CHECK((*outlet)->has_more() == (most > 0));
    CHECK((*outlet)->flush());
    CHECK(!(*outlet)->has_more());
    rpcap::DatagramReader reader(kMaxSnaplen);
    uint32_t read = 0;
    uint64_t datagrams = 0;
    for (Bytes datagram = receiver.next(); !datagram.empty(); datagram = receiver.next(), datagrams++) {
      reader.begin(datagram);
      for (rpcap::Packet packet; reader.next(packet); read++) made.check(packet, read);
    }
    CHECK(read == made.count);
    CHECK((*outlet)->counts().sent == made.count);
    CHECK((*outlet)->counts().datagrams == datagrams);
    CHECK((*outlet)->counts().lost == 0);
  }
}

TEST_CASE("an outlet whose datagrams are refused loses every packet that they have a piece of, and no other") {
  const Made made(std::vector<uint32_t>(100, 1000));
  uint16_t port = 0;
  {
    const Receiver gone;
    port = gone.port;
  }
  auto outlet = datagram_outlet(
      {.local = "127.0.0.1", .peer = "127.0.0.1", .port = port, .datagram_bytes = 1472, .buffer_bytes = 1 << 20});
  REQUIRE(outlet);
  CHECK((*outlet)->put(made.view(), 0, {}, NoRoom::kWaits) == made.count);
  CHECK((*outlet)->flush());
  CHECK((*outlet)->counts().sent == made.count);
  CHECK((*outlet)->counts().lost <= made.count);
}

TEST_CASE("an outlet of a stream stops where its memory ends, and goes on there") {
  const Made made(any_sizes(300, 1500));
  StreamOutlet outlet(kMaxSnaplen);
  Bytes stream;
  Bytes memory(5000);
  for (uint32_t next = 0; next < made.count;) {
    outlet.into(memory);
    const uint32_t done = outlet.put(made.view(), next, {}, NoRoom::kWaits);
    REQUIRE(done > next);
    next = done;
    stream.insert(stream.end(), memory.begin(), memory.begin() + static_cast<ptrdiff_t>(outlet.written()));
  }
  uint32_t read = 0;
  for (size_t at = 0; at < stream.size(); read++) {
    const rpcap::Message message = rpcap::read_message(std::span(stream).subspan(at), kMaxSnaplen);
    REQUIRE(message.kind == rpcap::Message::Kind::kPacket);
    made.check(message.packet, read);
    at += message.bytes;
  }
  CHECK(read == made.count);
  CHECK(outlet.counts().bytes == stream.size());
}

TEST_CASE("what has no room is dropped where nobody waits, and has no number") {
  const Made made({100, 100, 100, 100});
  StreamOutlet outlet(kMaxSnaplen);
  Bytes memory(2 * (rpcap::kAroundPacket + 100));
  outlet.into(memory);
  CHECK(outlet.put(made.view(), 0, {}, NoRoom::kDropped) == 4);
  CHECK(outlet.counts().sent == 2);
  CHECK(outlet.counts().dropped == 2);
  outlet.into(memory);
  CHECK(outlet.put(made.view(), 3, {}, NoRoom::kDropped) == 4);
  CHECK(rpcap::read_message(memory, kMaxSnaplen).packet.number == 3);
}

TEST_CASE("a choice is made by filter, sampling, window and length, and what a batch does not hold is not read") {
  Made made(std::vector<uint32_t>(100, 200));
  Choice choice(60);
  CHECK(choice.choose(made.view(), 0, {}).caplen == 60);
  CHECK(!choice.set_filter({{.code = 5, .jt = 0, .jf = 0, .k = 9}}));
  REQUIRE(choice.set_filter({{.code = 6, .jt = 0, .jf = 0, .k = 20}}));
  CHECK(choice.choose(made.view(), 1, {}).caplen == 20);
  REQUIRE(choice.set_filter({{.code = 6, .jt = 0, .jf = 0, .k = 0}}));
  CHECK(choice.choose(made.view(), 1, {}).data == nullptr);
  REQUIRE(choice.set_filter({}));
  choice.set_sampling({.method = Sampling::Method::kOneOfEvery, .value = 10});
  uint32_t kept = 0;
  for (uint32_t i = 0; i < made.count; i++) kept += choice.choose(made.view(), i, {}).data != nullptr;
  CHECK(kept == 10);
  choice.set_sampling({.method = Sampling::Method::kFirstAfterMs, .value = 20});
  kept = 0;
  for (uint32_t i = 0; i < made.count; i++) kept += choice.choose(made.view(), i, {}).data != nullptr;
  CHECK(kept == 5);  // the packets are 1.000001 ms apart
  choice.set_sampling({.method = Sampling::Method::kOneOfEvery, .value = 0});
  const Window window{.since_ns = 1'700'000'000'000'000'000 + 10 * 1'000'001,
                      .until_ns = 1'700'000'000'000'000'000 + 20 * 1'000'001};
  kept = 0;
  for (uint32_t i = 0; i < made.count; i++) kept += choice.choose(made.view(), i, window).data != nullptr;
  CHECK(kept == 10);
  made.block.offset[3] = 0xfffffff0;
  made.block.caplen[4] = 0xffffffff;
  for (const uint32_t i : {3u, 4u, 100u}) CHECK(choice.choose(made.view(), i, {}).data == nullptr);
  CHECK(choice.counts().damaged == 3);
}

TEST_CASE("who asks for datagrams without end gets each sixteen times, and a stranger to the token none") {
  Receiver receiver;
  const rpcap::Token token{std::byte{9}, std::byte{8}};
  auto outlet = datagram_outlet({.local = "127.0.0.1",
                                 .peer = "127.0.0.1",
                                 .port = receiver.port,
                                 .datagram_bytes = 1472,
                                 .buffer_bytes = 1 << 20,
                                 .again_bytes = 1 << 20,
                                 .token = token});
  REQUIRE(outlet);
  const Made made(any_sizes(60, 1400));
  REQUIRE((*outlet)->put(made.view(), 0, {}, NoRoom::kWaits) == made.count);
  (*outlet)->flush();
  sockaddr_in daemon{};
  socklen_t size = sizeof daemon;
  Bytes datagram(65536);
  uint32_t count = 0;
  // SAFETY: the form that sockets have addresses in.
  auto* const address = reinterpret_cast<sockaddr*>(&daemon);
  while (recvfrom(receiver.fd.get(), datagram.data(), datagram.size(), 0, address, &size) > 0) count++;
  REQUIRE(count > 3);
  const auto ask = [&](const rpcap::Token& by, uint32_t next, uint32_t first, uint32_t many) {
    std::array<std::byte, rpcap::kMostAskBytes> into{};
    const auto bytes = rpcap::put_ask({.next = next, .ranges = {{{first, many}}}, .count = 1}, by, into);
    REQUIRE(sendto(receiver.fd.get(), bytes.data(), bytes.size(), 0, address, size) > 0);
    return (*outlet)->attend();
  };
  CHECK(ask({}, count, 0, count));
  CHECK((*outlet)->counts().again == 0);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20'000 && (*outlet)->counts().again < uint64_t{16} * count; i++) {
    ask(token, 0, 0, UINT32_MAX);
    // As fast as it can for a while, and then slowly.
    if (std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(20)) usleep(500);
  }
  CHECK((*outlet)->counts().again == uint64_t{16} * count);
  for (int i = 0; i < 50; i++) {
    ask(token, 0, 0, count);
    usleep(500);
  }
  CHECK((*outlet)->counts().again == uint64_t{16} * count);
  CHECK_FALSE(ask(token, count, 0, 0));
  // Nobody is there any more: that is no reason to wait.
  receiver.fd.reset();
  REQUIRE((*outlet)->put(made.view(), 0, {}, NoRoom::kWaits) == made.count);
  (*outlet)->flush();
  bool is_waiting = true;
  for (int i = 0; i < 1000 && is_waiting; i++) {
    is_waiting = (*outlet)->attend();
    usleep(1000);
  }
  CHECK_FALSE(is_waiting);
}

namespace {

Bytes hex(const char* text) {
  Bytes bytes;
  for (; *text != 0; text++) {
    if (*text == ' ') continue;
    const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
    bytes.push_back(static_cast<std::byte>(digit(text[0]) << 4 | digit(text[1])));
    text++;
  }
  return bytes;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// 10.0.0.1 and 10.0.0.2, as IPv6 has them; fd00::1 and fd00::2.
const Bytes kUs4 = hex("0a000001");
const Bytes kThem4 = hex("0a000002");
const Bytes kMapped = hex("00000000 00000000 0000ffff");
const Bytes kUs6 = hex("fd000000 00000000 00000000 00000001");
const Bytes kThem6 = hex("fd000000 00000000 00000000 00000002");
const Bytes kMacs = hex("020000000001 020000000002");

Bytes ip_4(const char* protocol, const char* fragment, const Bytes& from, const Bytes& to, const Bytes& rest) {
  return hex("45000054 0001") + hex(fragment) + hex("40") + hex(protocol) + hex("0000") + from + to + rest;
}
Bytes ip_6(const char* next, const Bytes& from, const Bytes& to, const Bytes& rest) {
  return hex("60000000 0040") + hex(next) + hex("40") + from + to + rest;
}
Bytes ports(const char* source, const char* destination) { return hex(source) + hex(destination) + hex("00080000"); }

}  // namespace

TEST_CASE("packets of the daemon's own connections are told from all others") {
  OwnTraffic own;
  // TCP 2002 with anybody, UDP 5001 to 6001 of one host over IPv4, TCP 5002 with any port of one host over IPv6.
  own.set(hex("06 00 07d2 0000 0000") + kMapped + kUs4 + Bytes(16) + hex("11 00 1389 1771 0000") + kMapped + kUs4 +
          kMapped + kThem4 + hex("06 00 138a 0000 0000") + kUs6 + kThem6 + Bytes(39));
  const Bytes control = ip_4("06", "4000", kUs4, kThem4, ports("07d2", "c000"));
  const Bytes answer = ip_4("06", "0000", kThem4, kUs4, ports("c000", "07d2"));
  const Bytes datagram = ip_4("11", "2000", kUs4, kThem4, ports("1389", "1771"));
  const Bytes fragment = ip_4("11", "00b9", kUs4, kThem4, hex("00000000"));
  const Bytes stream = ip_6("06", kUs6, kThem6, ports("138a", "c001"));
  const Bytes behind = ip_6("00", kThem6, kUs6, hex("2b00000000000000 0600000000000000") + ports("c001", "138a"));
  const Bytes others[] = {
      ip_4("06", "0000", kThem4, kUs4, ports("07d2", "c000")),                    // from port 2002 of somebody else
      ip_4("11", "0000", kUs4, kThem4, ports("07d2", "c000")),                    // not TCP
      ip_4("11", "0000", kUs4, kThem4, ports("1389", "1772")),                    // to another port
      ip_4("11", "0000", kUs4, kUs4, ports("1389", "1771")),                      // to another host
      ip_4("06", "00b9", kUs4, kThem4, hex("00000000")),                          // a fragment of TCP
      ip_4("11", "00b9", kThem4, kUs4, hex("00000000")),                          // a fragment that comes
      ip_4("01", "0000", kUs4, kThem4, ports("1389", "1771")),                    // ICMP
      ip_6("06", kUs6, kUs6, ports("138a", "c001")),                              // to another host
      ip_6("2c", kUs6, kThem6, hex("1100000900000001") + ports("138a", "c001")),  // no datagrams go there
  };
  const auto ethernet = [](const Bytes& ip, const Bytes& tags) {
    const bool is_6 = (std::to_integer<unsigned>(ip[0]) >> 4) == 6;
    return kMacs + tags + hex(is_6 ? "86dd" : "0800") + ip;
  };
  for (const char* tags : {"", "8100 0007", "88a8 0007 8100 0008", "8100 0001 8100 0002 8100 0003"}) {
    for (const Bytes* ip : {&control, &answer, &datagram, &fragment, &stream, &behind}) {
      const Bytes frame = ethernet(*ip, hex(tags));
      CHECK(own.has(frame, 1));
      // Cut short anywhere it is nobody's, or still what it is; and no byte behind its end is looked at.
      for (size_t length = 0; length < frame.size(); length++) {
        const Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(length));
        if (length < 34) CHECK_FALSE(own.has(cut, 1));
        (void)own.has(cut, 1);
      }
    }
    for (const Bytes& ip : others) CHECK_FALSE(own.has(ethernet(ip, hex(tags)), 1));
  }
  CHECK(own.has(stream, 101));
  CHECK(own.has(control, 101));
  CHECK(own.has(hex("0004000100060200000000010000 0800") + control, 113));
  CHECK(own.has(hex("0800 0000 00000002 0001 04 06 0200000000010000") + control, 276));
  CHECK_FALSE(own.has(control, 147));
  own.set({});
  CHECK_FALSE(own.has(control, 101));
}

TEST_CASE("a client gets none of them, and they are counted") {
  const Bytes control = kMacs + hex("0800") + ip_4("06", "4000", kUs4, kThem4, ports("07d2", "c000"));
  const Bytes other = kMacs + hex("0800") + ip_4("06", "4000", kUs4, kThem4, ports("0050", "c000"));
  DescBlock block(3);
  Bytes segment;
  for (const Bytes* frame : {&control, &other, &control}) {
    const uint32_t i = segment.empty() ? 0 : segment.size() == control.size() ? 1 : 2;
    const auto size = static_cast<uint32_t>(frame->size());
    block.set_basic(i, static_cast<uint32_t>(segment.size()), size, size, 0, 0);
    segment.insert(segment.end(), frame->begin(), frame->end());
  }
  StreamOutlet outlet(65535);
  Bytes memory(4096);
  outlet.choice().set_own(hex("06 00 07d2 0000 0000") + kMapped + kUs4 + Bytes(16));
  outlet.into(memory);
  const auto view = BatchView::of(block, 3, segment.data(), segment.size(), 1'700'000'000'000'000'000, 1);
  CHECK(outlet.put(view, 0, {}, NoRoom::kWaits) == 3);
  CHECK(outlet.counts().sent == 1);
  CHECK(outlet.choice().counts().own == 2);
}
