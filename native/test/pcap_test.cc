// Live tests run in a network namespace of their own, with the veth pair rt0–rt1 (RINGTAP_LAB=1).
#include "backends/pcap/pcap.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <span>
#include <thread>
#include <vector>

#include "backends/pcap/cooked.h"
#include "backends/pcap/source.h"
#include "backends/pcap/target.h"
#include "core/unique_fd.h"
#include "filter/opcodes.h"
#include "libpcap/compile.h"

using namespace ringtap;
using namespace std::chrono_literals;

namespace {

using Bytes = std::vector<std::byte>;

bool lab() {
  const bool present = std::getenv("RINGTAP_LAB") != nullptr;
  if (!present) MESSAGE("not run: needs RINGTAP_LAB=1 and the veth pair rt0–rt1");
  return present;
}
#define NEEDS_LAB() \
  if (!lab()) return

void shell(const std::string& command) { REQUIRE_MESSAGE(std::system(command.c_str()) == 0, command); }

/// A UDP datagram in an Ethernet frame, tagged if `vlan` is not negative. The last byte of the payload is `mark`.
Bytes frame(uint16_t port, int vlan = -1, size_t payload = 18, uint8_t mark = 0) {
  std::vector<uint8_t> b{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  const auto put16 = [&](size_t value) {
    b.push_back(static_cast<uint8_t>(value >> 8));
    b.push_back(static_cast<uint8_t>(value));
  };
  if (vlan >= 0) {
    put16(0x8100);
    put16(static_cast<size_t>(vlan));
  }
  put16(0x0800);
  for (const int byte : {0x45, 0}) b.push_back(static_cast<uint8_t>(byte));
  put16(28 + payload);
  for (const int byte : {0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}) b.push_back(static_cast<uint8_t>(byte));
  put16(50000);
  put16(port);
  put16(8 + payload);
  put16(0);
  b.resize(b.size() + payload);
  b.back() = mark;
  Bytes result(b.size());
  std::transform(b.begin(), b.end(), result.begin(), [](uint8_t byte) { return static_cast<std::byte>(byte); });
  return result;
}

class Sender {
 public:
  explicit Sender(const char* interface = "rt1") : fd_(socket(AF_PACKET, SOCK_RAW, 0)) {
    address_.sll_family = AF_PACKET;
    address_.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    REQUIRE(address_.sll_ifindex > 0);
  }
  void send(const Bytes& packet, int times = 1) {
    for (int i = 0; i < times; i++) {
      const auto sent = sendto(fd_.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&address_),
                               sizeof address_);
      REQUIRE(sent == static_cast<ssize_t>(packet.size()));
    }
  }

 private:
  UniqueFd fd_;
  sockaddr_ll address_{};
};

OpenRequest request(const std::string& target = "rt0") {
  OpenRequest result{.uri = "pcap:" + target, .target = target, .options = {}};
  result.options.set("timeoutMs", 1.0);
  result.options.set("bufferBytes", 4.0 * 1024 * 1024);
  return result;
}

std::unique_ptr<Source> opened(const OpenRequest& what) {
  auto source = open_pcap(what);
  REQUIRE_MESSAGE(bool(source), source.error().message);
  return *std::move(source);
}

std::unique_ptr<Source> started(const OpenRequest& what, const std::string& filter = "",
                                FilterPlacement* placement = nullptr) {
  auto source = opened(what);
  if (!filter.empty()) {
    const auto placed = source->set_filter(make_filter(filter, source->info().snaplen));
    REQUIRE_MESSAGE(bool(placed), placed.error().message);
    if (placement != nullptr) *placement = *placed;
  }
  REQUIRE(source->start());
  return source;
}

struct Packet {
  Bytes bytes;
  uint32_t wirelen;
  uint32_t flags;
  double time;
};

struct Taken {
  std::vector<Packet> packets;
  Rx last = Rx::kAgain;
};

/// Reads until `count` packets are there, or an error, or nothing has come for a while.
Taken take(Source& source, size_t count, std::chrono::milliseconds patience = 500ms) {
  Taken taken;
  DescBlock block(64);
  while (taken.packets.size() < count) {
    const RxBatch batch = source.receive(block, block.capacity());
    taken.last = batch.rx;
    if (batch.rx == Rx::kAgain) {
      pollfd wait{.fd = source.readiness().fd, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, static_cast<int>(patience.count())) == 0) return taken;
      continue;
    }
    if (batch.rx != Rx::kOk) return taken;
    const std::byte* base = source.info().segments[batch.segment].base;
    for (uint32_t i = 0; i < batch.count; i++) {
      const std::byte* at = base + block.offset[i];
      taken.packets.push_back({Bytes(at, at + block.caplen[i]), block.wirelen[i], block.flags[i], block.time[i]});
    }
    CHECK(source.release(batch.lease));
  }
  return taken;
}

/// Until the kernel has seen so many.
void wait_for_received(const Source& source, uint64_t count) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (source.stats().received < count && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
}

/// The next answer that is not "wait".
RxBatch next(Source& source, DescBlock& block, uint32_t max) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  for (;;) {
    const RxBatch batch = source.receive(block, max);
    if (batch.rx != Rx::kAgain || std::chrono::steady_clock::now() > deadline) return batch;
    std::this_thread::sleep_for(1ms);
  }
}

void check_ledger(const Source& source) {
  const Stats stats = source.stats();
  CHECK(stats.received == stats.delivered + stats.filtered + stats.dropped + stats.pending);
}

}  // namespace

TEST_CASE("the probe names the version of libpcap") {
  const Probe probe = probe_pcap();
  CHECK(probe.available);
  CHECK(probe.detail.find("libpcap") != std::string::npos);
}

TEST_CASE("a missing interface is an error that names it") {
  NEEDS_LAB();
  for (const std::string name : {"nosuch0", "a-name-that-is-too-long-for-linux", ""}) {
    const auto source = open_pcap(request(name));
    REQUIRE_FALSE(source);
    CHECK(source.error().code == Code::kNoInterface);
    CHECK(source.error().message.find(name) != std::string::npos);
  }
  const auto nul = open_pcap(request(std::string("rt0\0x", 5)));
  REQUIRE_FALSE(nul);
  CHECK(nul.error().code == Code::kNoInterface);
}

TEST_CASE("what is neither an interface nor a device of the kernel is never given to libpcap") {
  for (const std::string name : {"any", "usbmon0", "bluetooth0", "bluetooth-monitor", "nflog", "nflog:5", "lo"}) {
    CAPTURE(name);
    CHECK(pcap::is_capture_device(name));
  }
  for (const std::string name : {"",          "dbus-session",    "dbus-system", "dbus-",  "dpdk:0",
                                 "netmap:lo", "vale0:1",         "dag0",        "snf0",   "usbmon",
                                 "usbmon0x",  "usbmon123456",    "bluetooth",   "nflog:", "nflog:1,2",
                                 "nfqueue",   "rpcap://host/lo", "/dev/bpf0",   "lo/",    "nosuch0"}) {
    CAPTURE(name);
    CHECK_FALSE(pcap::is_capture_device(name));
  }
}

TEST_CASE("devices are listed with their state") {
  NEEDS_LAB();
  const auto devices = devices_pcap();
  const auto found = std::find_if(devices.begin(), devices.end(), [](const Device& d) { return d.target == "rt0"; });
  REQUIRE(found != devices.end());
  CHECK(found->up);
  CHECK_FALSE(found->loopback);
}

TEST_CASE("an interface that is down at the start is an error") {
  NEEDS_LAB();
  shell("ip link add rtd0 type veth peer name rtd1");
  const auto source = open_pcap(request("rtd0"));
  shell("ip link del rtd0");
  REQUIRE_FALSE(source);
  CHECK(source.error().code == Code::kInterfaceDown);
}

TEST_CASE("a process without CAP_NET_RAW is told which capability it lacks") {
  NEEDS_LAB();
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    const auto source = open_pcap(request());
    const bool told = !source && source.error().code == Code::kNoPermission &&
                      source.error().hint.find("cap_net_raw") != std::string::npos;
    _exit(told ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("frames arrive byte for byte, with their length and time") {
  NEEDS_LAB();
  const auto source = started(request());
  CHECK(source->info().link_type == 1);
  CHECK(source->info().mode == "copy");
  CHECK(source->info().timestamp_source == "kernel");
  CHECK(source->info().epoch_ns % 1'000'000'000 == 0);
  Sender sender;
  const auto before = std::chrono::system_clock::now().time_since_epoch();
  for (uint8_t i = 0; i < 10; i++) sender.send(frame(53, -1, 18 + i, i));
  const auto taken = take(*source, 10);
  REQUIRE(taken.packets.size() == 10);
  for (uint8_t i = 0; i < 10; i++) {
    CHECK(taken.packets[i].bytes == frame(53, -1, 18 + i, i));
    CHECK(taken.packets[i].wirelen == taken.packets[i].bytes.size());
    CHECK(taken.packets[i].flags == 0);
  }
  const double sent_at = static_cast<double>(std::chrono::nanoseconds(before).count() - source->info().epoch_ns);
  CHECK(taken.packets[0].time > sent_at - 1e6);
  CHECK(taken.packets[0].time < sent_at + 2e9);
  const Stats stats = source->stats();
  CHECK(stats.received == 10);
  CHECK(stats.delivered == 10);
  CHECK(stats.pending == 0);
  check_ledger(*source);
}

TEST_CASE("an interface without hardware timestamps says so and keeps the kernel's") {
  NEEDS_LAB();
  auto what = request();
  what.options.set("timestamp", std::string("hardware"));
  const auto source = started(what);
  CHECK(source->info().timestamp_source == "kernel");
  REQUIRE_FALSE(source->info().notes.empty());
  CHECK(source->info().notes[0].find("hardware") != std::string::npos);
}

TEST_CASE("nothing that came before start() is delivered or counted") {
  NEEDS_LAB();
  const auto source = opened(request());
  Sender sender;
  sender.send(frame(1), 100);
  REQUIRE(source->set_filter(make_filter("udp port 53", 65535)));
  sender.send(frame(53), 100);
  REQUIRE(source->start());
  sender.send(frame(53, -1, 18, 7), 3);
  const auto taken = take(*source, 200);
  REQUIRE(taken.packets.size() == 3);
  CHECK(taken.packets[0].bytes == frame(53, -1, 18, 7));
  CHECK(source->stats().received == 3);
}

TEST_CASE("no packet that the filter rejects slips in while a capture is opened under load") {
  NEEDS_LAB();
  std::atomic<bool> stop{false};
  std::thread load([&] {
    Sender sender;
    while (!stop) {
      sender.send(frame(1), 20);
      sender.send(frame(53), 1);
    }
  });
  for (int i = 0; i < 10; i++) {
    const auto source = started(request(), "udp port 53");
    const auto taken = take(*source, 50);
    CHECK(taken.packets.size() >= 50);
    const bool all_match =
        std::all_of(taken.packets.begin(), taken.packets.end(), [](const Packet& p) { return p.bytes == frame(53); });
    CHECK(all_match);
  }
  stop = true;
  load.join();
}

TEST_CASE("a filter sees the frame as on the wire, with its VLAN tag in the bytes") {
  NEEDS_LAB();
  struct Case {
    const char* filter;
    bool tagged, untagged;
  };
  Sender sender;
  for (const Case& c : {Case{"vlan 5 and udp", true, false}, Case{"udp port 53", false, true},
                        Case{"not vlan", false, true}, Case{"vlan", true, false}, Case{"vlan 6", false, false},
                        Case{"ether proto 0x8100", true, false}, Case{"len = 60", false, true},
                        Case{"len = 64", true, false}, Case{"udp port 53 or (vlan 5 and udp port 53)", true, true}}) {
    CAPTURE(std::string(c.filter));
    FilterPlacement placement;
    const auto source = started(request(), c.filter, &placement);
    CHECK(placement.where == FilterPlace::kKernel);
    sender.send(frame(53, 5));
    sender.send(frame(53));
    std::vector<Bytes> expected;
    if (c.tagged) expected.push_back(frame(53, 5));
    if (c.untagged) expected.push_back(frame(53));
    const auto taken = take(*source, 3, 50ms);
    REQUIRE(taken.packets.size() == expected.size());
    for (size_t i = 0; i < expected.size(); i++) CHECK(taken.packets[i].bytes == expected[i]);
    const Stats stats = source->stats();
    CHECK(stats.filtered == (c.tagged ? 0u : 1u));
    CHECK(stats.delivered == expected.size());
    CHECK(stats.pending == 0);
    check_ledger(*source);
  }
}

TEST_CASE("the snaplen cuts packets behind the filter, tagged or not") {
  NEEDS_LAB();
  auto what = request();
  what.options.set("snaplen", 40.0);
  // The byte that decides lies behind the snaplen, and 4 bytes further in a tagged frame.
  const auto source = started(what, "ether[59] = 9 or (vlan 5 and ether[63] = 8)");
  Sender sender;
  sender.send(frame(53, -1, 18, 9));
  sender.send(frame(53, -1, 18, 8));
  sender.send(frame(53, 5, 18, 8));
  sender.send(frame(53, 6, 18, 8));
  const auto taken = take(*source, 4, 50ms);
  REQUIRE(taken.packets.size() == 2);
  const Bytes untagged = frame(53, -1, 18, 9);
  const Bytes tagged = frame(53, 5, 18, 8);
  CHECK(taken.packets[0].bytes == Bytes(untagged.begin(), untagged.begin() + 40));
  CHECK(taken.packets[0].wirelen == 60);
  CHECK(taken.packets[1].bytes == Bytes(tagged.begin(), tagged.begin() + 40));
  CHECK(taken.packets[1].wirelen == 64);
}

TEST_CASE("a frame sent with its tag in the bytes is decided once, and right, with a short snaplen") {
  NEEDS_LAB();
  auto what = request("rt1");
  what.options.set("snaplen", 40.0);
  const auto source = started(what, "vlan 5 and ether[63] = 8");
  Sender sender("rt1");
  sender.send(frame(53, 5, 18, 8));
  sender.send(frame(53, 5, 18, 9));
  const auto taken = take(*source, 2, 50ms);
  REQUIRE(taken.packets.size() == 1);
  CHECK(taken.packets[0].bytes.size() == 40);
}

TEST_CASE("without a filter the snaplen cuts, too") {
  NEEDS_LAB();
  auto what = request();
  what.options.set("snaplen", 20.0);
  const auto source = started(what);
  Sender().send(frame(53, 5, 1000));
  const auto taken = take(*source, 1);
  REQUIRE(taken.packets.size() == 1);
  const Bytes whole = frame(53, 5, 1000);
  CHECK(taken.packets[0].bytes == Bytes(whole.begin(), whole.begin() + 20));
  CHECK(taken.packets[0].wirelen == whole.size());
}

TEST_CASE("a given program's accept length is kept") {
  NEEDS_LAB();
  const auto source = opened(request());
  REQUIRE(source->set_filter(make_filter(Program{{.code = bpf::kRet | bpf::kK, .k = 30}})));
  REQUIRE(source->start());
  Sender sender;
  sender.send(frame(53));
  sender.send(frame(53, 5));
  const auto taken = take(*source, 2);
  REQUIRE(taken.packets.size() == 2);
  CHECK(taken.packets[0].bytes.size() == 30);
  CHECK(taken.packets[1].bytes.size() == 30);
}

TEST_CASE("a filter that the kernel cannot run runs in user space and says why") {
  NEEDS_LAB();
  FilterPlacement placement;
  auto source = started(request(), "ip protochain 17", &placement);
  CHECK(placement.where == FilterPlace::kUser);
  CHECK(placement.reason.find("protochain") != std::string::npos);
  Sender sender;
  sender.send(frame(53));
  sender.send(frame(53, 5));
  CHECK(take(*source, 2, 50ms).packets.size() == 1);
  CHECK(source->stats().filtered == 1);
  check_ledger(*source);

  Program too_long(4090, {.code = bpf::kLd | bpf::kImm});
  too_long.push_back({.code = bpf::kRet | bpf::kK, .k = 50});
  source = opened(request());
  const auto placed = source->set_filter(make_filter(too_long));
  REQUIRE(placed);
  CHECK(placed->where == FilterPlace::kUser);
  REQUIRE(source->start());
  sender.send(frame(53));
  CHECK(take(*source, 1).packets.size() == 1);
}

TEST_CASE("a filter that never ends is run on a few packets a receive(), and all are accounted for") {
  NEEDS_LAB();
  auto source = opened(request());
  REQUIRE(source->set_filter(
      make_filter(Program{{.code = bpf::kJmp | bpf::kJa, .k = 0xffffffff}, {.code = bpf::kRet | bpf::kK}})));
  REQUIRE(source->start());
  Sender sender;
  sender.send(frame(53), 300);
  DescBlock block(64);
  uint64_t filtered = 0;
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (filtered < 300 && std::chrono::steady_clock::now() < deadline) {
    CHECK(source->receive(block, 64).rx == Rx::kAgain);
    const Stats stats = source->stats();
    CHECK(stats.filtered - filtered <= 3);
    check_ledger(*source);
    pollfd wait{.fd = source->readiness().fd, .events = POLLIN, .revents = 0};
    if (stats.filtered == filtered) poll(&wait, 1, 100);  // what is left is still readable
    filtered = stats.filtered;
  }
  CHECK(filtered == 300);
}

TEST_CASE("a filter may ask which way a packet went, tagged or not, as far as libpcap lets it be told") {
  NEEDS_LAB();
  Sender there("rt1");
  Sender here("rt0");
  const auto send = [&] {
    for (Sender* sender : {&there, &here}) {
      sender->send(frame(53));
      sender->send(frame(53, 5));
    }
  };
  const auto matches = [&](const std::string& filter, const char* direction, size_t expected, bool ambiguous = false) {
    CAPTURE(filter);
    OpenRequest what = request();
    what.options.set("direction", std::string(direction));
    FilterPlacement placement;
    auto source = started(what, filter, &placement);
    send();
    CHECK((placement.reason.find("which way") != std::string::npos) == ambiguous);
    CHECK(take(*source, 10, 100ms).packets.size() == expected);
    check_ledger(*source);
  };
  matches("inbound", "both", 2);
  matches("outbound and vlan 5", "both", 1);
  matches("outbound", "in", 0);
  // A tagged frame that came in matches as if it had gone out, and it is said why.
  matches("outbound or udp port 53", "both", 4, true);
  matches("inbound or udp port 53", "both", 3, true);
  matches("inbound or udp port 53", "in", 2);
  matches("inbound or udp port 53", "out", 1);
}

TEST_CASE("what libpcap opens is closed in child processes") {
  NEEDS_LAB();
  const auto inherited = [] {
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) count += (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 ? 1 : 0;
    return count;
  };
  const size_t before = inherited();
  const auto source = started(request());
  CHECK(inherited() == before);
  const auto any = started(request("any"));
  CHECK(inherited() == before);
}

namespace greedy {

const LibPcap* real = nullptr;

/// A capture module that ignores how many packets it may give.
int dispatch(pcap_t* handle, int, PcapHandler take, unsigned char* user) {
  const int given = real->dispatch(handle, -1, take, user);
  const PcapHeader header{.ts = {.tv_sec = 1, .tv_usec = 0}, .caplen = 60, .len = 60};
  const unsigned char bytes[60] = {};
  for (int i = 0; i < 100; i++) take(user, &header, bytes);
  return given < 0 ? given : given + 100;
}

}  // namespace greedy

TEST_CASE("more packets than were asked for are dropped and counted, not written beyond the batch") {
  NEEDS_LAB();
  greedy::real = libpcap();
  LibPcap library = *greedy::real;
  library.dispatch = greedy::dispatch;
  auto source = pcap::PcapSource::open(library, request());
  REQUIRE(source);
  REQUIRE((*source)->start());
  DescBlock block(8);
  const RxBatch batch = (*source)->receive(block, 8);
  CHECK(batch.rx == Rx::kOk);
  CHECK(batch.count == 8);
  const Stats stats = (*source)->stats();
  CHECK(stats.delivered == 8);
  CHECK(stats.dropped == 92);
  check_ledger(**source);
  (*source)->release(batch.lease);
}

TEST_CASE("a bad filter is an error, and the capture can be opened with another") {
  NEEDS_LAB();
  const auto source = opened(request());
  const auto placed = source->set_filter(make_filter("udp prot 53", 65535));
  REQUIRE_FALSE(placed);
  CHECK(placed.error().code == Code::kBadFilter);
  CHECK(placed.error().position == 4);
  REQUIRE(source->set_filter(make_filter("udp", 65535)));
}

TEST_CASE("direction separates what this host sends from what it receives") {
  NEEDS_LAB();
  Sender from_rt0("rt0");
  Sender from_rt1("rt1");
  struct Case {
    const char* direction;
    size_t packets;
    uint32_t flags;
  };
  for (const Case& c : {Case{"in", 2, 0}, Case{"out", 3, kFlagOutgoing}, Case{"both", 5, 0}}) {
    auto what = request();
    what.options.set("direction", std::string(c.direction));
    const auto source = started(what, "udp");
    from_rt0.send(frame(1), 3);
    from_rt1.send(frame(2), 2);
    const auto taken = take(*source, 6, 50ms);
    REQUIRE(taken.packets.size() == c.packets);
    CHECK(taken.packets[0].flags == c.flags);
    CHECK(source->stats().received == c.packets);
    CHECK(source->stats().pending == 0);
  }
}

TEST_CASE("loopback shows each packet once") {
  NEEDS_LAB();
  shell("ip link set lo up");
  const auto source = started(request("lo"));
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < 5; i++) {
    CHECK(sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1);
  }
  const auto taken = take(*source, 100, 50ms);
  const auto is_udp = [](const Packet& p) { return p.bytes.size() > 23 && p.bytes[23] == std::byte{17}; };
  CHECK(std::count_if(taken.packets.begin(), taken.packets.end(), is_udp) == 5);
  CHECK(source->stats().pending == 0);
  check_ledger(*source);
}

TEST_CASE("a cooked header of the older kind becomes one of the newer, whatever is cut off") {
  const uint8_t sll[] = {0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0, 0x45, 0x11};
  const uint8_t sll2[] = {8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x45, 0x11};
  const auto bytes = std::as_bytes(std::span(sll));
  const auto expected = std::as_bytes(std::span(sll2));
  for (uint32_t room : {20u, 21u, 22u, 64u}) {
    for (uint32_t caplen = 0; caplen <= bytes.size(); caplen++) {
      // Exactly as long as it says: a sanitizer sees what is read or written beyond.
      const std::vector<std::byte> from(bytes.begin(), bytes.begin() + caplen);
      std::vector<std::byte> to(room, std::byte{0xee});
      const uint32_t written = pcap::to_sll2(from.data(), caplen, to.data(), room);
      CHECK(written == std::min(room, std::max(caplen, 16u) + pcap::kCookedGrowth));
      if (caplen >= 16) CHECK(std::equal(to.begin(), to.begin() + written, expected.begin()));
      CHECK(std::all_of(to.begin() + written, to.end(), [](std::byte left) { return left == std::byte{0xee}; }));
    }
  }
}

TEST_CASE("any captures on all interfaces with cooked headers, filtered in user space") {
  NEEDS_LAB();
  FilterPlacement placement;
  const auto source = started(request("any"), "udp port 53", &placement);
  CHECK(source->info().link_type == 276);
  CHECK(placement.where == FilterPlace::kUser);
  CHECK(placement.reason.find("cooked") != std::string::npos);
  Sender sender;
  sender.send(frame(1), 2);
  sender.send(frame(53), 2);
  // Each is seen leaving rt1 and arriving on rt0.
  const auto taken = take(*source, 5, 50ms);
  REQUIRE(taken.packets.size() == 4);
  CHECK(std::count_if(taken.packets.begin(), taken.packets.end(),
                      [](const Packet& p) { return p.flags == kFlagOutgoing; }) == 2);
  CHECK(source->stats().filtered == 4);
  CHECK(source->stats().pending == 0);
}

TEST_CASE("the ledger holds to the packet when the buffer overflows") {
  NEEDS_LAB();
  auto what = request();
  what.options.set("bufferBytes", 1.0 * 1024 * 1024);
  const auto source = started(what, "udp port 53 or (vlan 5 and udp port 53)");
  constexpr int kRounds = 3000;
  Sender sender;
  for (int i = 0; i < kRounds; i++) {
    sender.send(frame(53, -1, 400));
    sender.send(frame(53, 5, 400));
    sender.send(frame(54, 5, 400));  // leaves the kernel, because it is tagged, and is rejected here
    sender.send(frame(54, -1, 400));
  }
  wait_for_received(*source, 3 * kRounds);
  const Stats full = source->stats();
  CHECK(full.dropped > 0);
  CHECK(full.delivered == 0);
  CHECK(full.received == 3 * kRounds);
  CHECK(full.pending == full.received - full.dropped);

  const auto taken = take(*source, SIZE_MAX, 50ms);
  const Stats drained = source->stats();
  CHECK(drained.received == 3 * kRounds);
  CHECK(drained.delivered == taken.packets.size());
  CHECK(drained.dropped == full.dropped);
  CHECK(drained.pending == 0);
  CHECK(drained.delivered + drained.filtered + drained.dropped == 3 * kRounds);
  REQUIRE(drained.drops.size() == 2);
  CHECK(drained.drops[0].name == "ring");
  CHECK(drained.drops[0].count == drained.dropped);
  CHECK_FALSE(drained.drops[1].count.has_value());
  CHECK(source->stats().received == drained.received);
}

TEST_CASE("every lease can be held, one more is kNoBuffer, and held bytes stay") {
  NEEDS_LAB();
  const auto source = started(request());
  const uint32_t most = source->info().max_leases;
  CHECK(most >= 8);
  Sender sender;
  DescBlock block(1);
  std::vector<Lease> leases;
  std::vector<uint32_t> offsets;
  for (uint32_t i = 0; i < most + 2; i++) sender.send(frame(53, -1, 18, static_cast<uint8_t>(i)));
  for (uint32_t i = 0; i < most; i++) {
    const RxBatch batch = next(*source, block, 1);
    REQUIRE(batch.rx == Rx::kOk);
    leases.push_back(batch.lease);
    offsets.push_back(block.offset[0]);
  }
  CHECK(source->receive(block, 1).rx == Rx::kNoBuffer);
  const std::byte* base = source->info().segments[0].base;
  for (uint32_t i = 0; i < most; i++) CHECK(base[offsets[i] + 59] == static_cast<std::byte>(i));
  CHECK(source->release(leases[3]));
  CHECK_FALSE(source->release(leases[3]));
  CHECK_FALSE(source->release(0));
  const RxBatch next = source->receive(block, 1);
  REQUIRE(next.rx == Rx::kOk);
  CHECK(base[block.offset[0] + 59] == static_cast<std::byte>(most));
  CHECK(base[offsets[4] + 59] == std::byte{4});
}

TEST_CASE("more packets than a chunk holds arrive in several batches, none lost") {
  NEEDS_LAB();
  shell("ip link set rt0 mtu 9000 && ip link set rt1 mtu 9000");
  auto what = request();
  what.options.set("bufferBytes", 32.0 * 1024 * 1024);
  what.options.set("timeoutMs", 50.0);  // a block of the ring is used up when this has passed, however empty it is
  const auto source = started(what);
  Sender sender;
  constexpr uint32_t kSent = 1200;
  for (uint32_t i = 0; i < kSent; i++) sender.send(frame(53, -1, 8900, static_cast<uint8_t>(i)));
  DescBlock block(4096);
  uint32_t got = 0;
  uint32_t batches = 0;
  for (int idle = 0; idle < 150;) {
    const RxBatch batch = source->receive(block, 4096);
    if (batch.rx != Rx::kOk) {
      REQUIRE(batch.rx == Rx::kAgain);
      idle++;
      std::this_thread::sleep_for(1ms);
      continue;
    }
    batches++;
    for (uint32_t i = 0; i < batch.count; i++, got++) {
      const std::byte* at = source->info().segments[0].base + block.offset[i];
      REQUIRE(size_t{block.offset[i]} + block.caplen[i] <= source->info().segments[0].bytes);
      REQUIRE(at[block.caplen[i] - 1] == static_cast<std::byte>(got));
    }
    source->release(batch.lease);
  }
  CHECK(got == kSent);
  CHECK(batches > 4);
  CHECK(source->stats().dropped == 0);
}

TEST_CASE("an interface that is taken down ends the capture with an error, after everything that came before") {
  NEEDS_LAB();
  shell("ip link add rtd0 type veth peer name rtd1 && ip link set rtd0 up && ip link set rtd1 up");
  auto what = request("rtd0");
  what.options.set("timeoutMs", 50.0);
  const auto source = started(what);
  Sender("rtd1").send(frame(53), 5);
  shell("ip link set rtd0 down");
  const auto taken = take(*source, SIZE_MAX);
  shell("ip link del rtd0");
  CHECK(taken.packets.size() == 5);
  REQUIRE(taken.last == Rx::kError);
  CHECK(source->error().code == Code::kInterfaceDown);
  CHECK(source->error().message.find("rtd0") != std::string::npos);
  DescBlock block(1);
  CHECK(source->receive(block, 1).rx == Rx::kError);
}

TEST_CASE("an interface that goes down and comes back between two reads is not overlooked") {
  NEEDS_LAB();
  shell("ip link add rtd0 type veth peer name rtd1 && ip link set rtd0 up && ip link set rtd1 up");
  const auto source = started(request("rtd0"));
  shell("ip link set rtd0 down && ip link set rtd0 up");
  const auto taken = take(*source, 1);
  shell("ip link del rtd0");
  REQUIRE(taken.last == Rx::kError);
  CHECK(source->error().code == Code::kInterfaceDown);
}

TEST_CASE("an interface that is removed ends the capture with an error, every time") {
  NEEDS_LAB();
  for (int i = 0; i < 10; i++) {
    shell("ip link add rtd0 type veth peer name rtd1 && ip link set rtd0 up && ip link set rtd1 up");
    const auto source = started(request("rtd0"));
    Sender("rtd1").send(frame(53), 3);
    std::thread remover([] { CHECK(std::system("ip link del rtd0") == 0); });
    const auto taken = take(*source, SIZE_MAX, 2000ms);
    remover.join();
    CHECK(taken.packets.size() == 3);
    REQUIRE(taken.last == Rx::kError);
    CHECK(source->error().code == Code::kInterfaceGone);
  }
}

TEST_CASE("closing twice is harmless, and the regions and counters outlive it") {
  NEEDS_LAB();
  auto source = started(request());
  Sender().send(frame(53), 4);
  const auto region = source->info().segments[0].region;
  DescBlock block(8);
  wait_for_received(*source, 4);
  const RxBatch batch = next(*source, block, 8);
  REQUIRE(batch.rx == Rx::kOk);
  source->close();
  source->close();
  CHECK(region->base()[block.offset[0]] == std::byte{2});
  CHECK(source->release(batch.lease));
  CHECK(source->receive(block, 8).rx == Rx::kError);
  CHECK(source->error().code == Code::kClosed);
  CHECK(source->stats().delivered == 4);
  check_ledger(*source);
  source.reset();
  CHECK(region->base()[block.offset[0]] == std::byte{2});
}
