// ringtap-xdpcost: what the XDP program costs a packet, by the kernel's own test runs. Prints a line of JSON, in ns.
#include <linux/bpf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "backends/afxdp/abi.h"
#include "backends/afxdp/bpf.h"
#include "backends/afxdp/program.h"
#include "core/link_type.h"
#include "libpcap/compile.h"

namespace {

using namespace ringtap;
using namespace ringtap::afxdp;
using Packet = std::vector<std::byte>;

constexpr const char* kExpression = "tcp port 80 or udp port 53";
constexpr uint32_t kRepetitions = 200'000;
constexpr int kRuns = 9;

template <class T>
T value_of(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "ringtap-xdpcost: %s\n", result.error().message.c_str());
  std::exit(1);
}

/// 60 bytes; over IPv4 if it has a protocol, else ARP.
Packet packet(uint8_t protocol, uint8_t from, uint8_t to) {
  Packet bytes(60);
  const auto set = [&bytes](size_t at, int value) { bytes[at] = static_cast<std::byte>(value); };
  set(12, 0x08);
  set(13, protocol == 0 ? 0x06 : 0x00);
  set(14, 0x45);
  set(17, 46);
  set(23, protocol);
  set(35, from);
  set(37, to);
  return bytes;
}

const struct {
  const char* name;
  Packet packet;
} kPackets[] = {{"udp to 53", packet(17, 200, 53)},
                {"tcp from 80", packet(6, 80, 200)},
                {"tcp of others", packet(6, 201, 200)},
                {"arp", packet(0, 0, 0)}};

uint32_t cost(const EbpfProgram& program, const Packet& packet) {
  const UniqueFd fd = value_of(load_program(program, false));
  std::vector<uint32_t> times;
  for (int i = 0; i < kRuns; i++) {
    times.push_back(value_of(test_run(fd.get(), {.packet = packet, .repeat = kRepetitions})).nanoseconds);
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2];
}

/// Calls one helper without arguments, or none, and passes the packet on.
EbpfProgram calling(uint32_t helper) {
  using namespace ebpf;
  Assembler as;
  if (helper != 0) as.call(helper);
  as.mov32(R0, XDP_PASS);
  as.exit();
  return value_of(as.finish());
}

/// The program with a change of the room for metadata behind it. To take a stamp off again, or else the room is used up
/// after a few repetitions; or to change nothing, for comparison.
EbpfProgram repeatable(EbpfProgram program, uint32_t change) {
  using namespace ebpf;
  Assembler after;
  after.mov64(R7, R0);
  after.mov64(R1, R6);
  after.mov64(R2, change);
  after.call(54);  // bpf_xdp_adjust_meta
  after.mov64(R0, R7);
  after.exit();
  const EbpfProgram tail = value_of(after.finish());
  program.pop_back();  // the redirect's exit
  program.insert(program.end(), tail.begin(), tail.end());
  return program;
}

}  // namespace

int main() {
  const UniqueFd map = value_of(create_map({.type = BPF_MAP_TYPE_XSKMAP}));
  // Something to redirect to: the queue of a test run is 0.
  const UniqueFd socket(::socket(AF_XDP, SOCK_RAW, 0));
  const uint32_t entries = 64;
  setsockopt(socket.get(), SOL_XDP, XDP_RX_RING, &entries, sizeof entries);
  value_of(set_map(map.get(), 0, static_cast<uint32_t>(socket.get())));

  std::fputs("READY\n", stderr);
  const Program filter = value_of(compile_filter(kExpression, kLinkEthernet, 0xffff));
  const EbpfProgram bare = value_of(assemble({.xsk_map = map.get()})).program;
  const EbpfProgram filtering = value_of(assemble({.xsk_map = map.get(), .filter = &filter})).program;
  std::printf("{\"expression\":\"%s\",\"redirect\":%u,\"filter\":{", kExpression, cost(bare, kPackets[0].packet));
  const char* comma = "";
  for (const auto& [name, packet] : kPackets) {
    std::printf("%s\"%s\":%u", comma, name, cost(filtering, packet));
    comma = ",";
  }
  const Stamps stamps = value_of(Stamps::create(StampClock::kMonotonic));
  const EbpfProgram stamping = value_of(assemble({.xsk_map = map.get(), .stamps = &stamps})).program;
  const uint32_t without = cost(repeatable(bare, 0), kPackets[0].packet);
  const uint32_t with = cost(repeatable(stamping, kStampBytes), kPackets[0].packet);
  const uint32_t empty = cost(calling(0), kPackets[0].packet);
  const uint32_t clock = cost(calling(5), kPackets[0].packet);  // bpf_ktime_get_ns
  const auto more = [](uint32_t a, uint32_t b) { return static_cast<int>(a) - static_cast<int>(b); };
  std::printf("},\"empty\":%u,\"stamp\":%d,\"clock\":%d}\n", empty, more(with, without), more(clock, empty));
  return stamps.intact() ? 0 : 1;
}
