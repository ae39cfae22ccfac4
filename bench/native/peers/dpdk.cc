// peer-dpdk DEVICE: one thread that polls a port and reads each packet, as many as each line on stdin asks for.
// peer-dpdk filter EXPRESSION: what our filter in DPDK's machine code takes, over as many packets as each line asks
// for.
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>

#include <array>
#include <random>

#include "backends/dpdk/module/filter.h"
#include "libpcap/compile.h"
#include "peer.h"

namespace {

constexpr uint16_t kBurst = 64;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "peer-dpdk: %s\n", what);
  std::exit(1);
}

rte_mempool* start() {
  // The main lcore stays where this program was started.
  const std::string core = "0@" + std::to_string(sched_getcpu());
  std::string arguments[] = {"peer-dpdk", "--no-huge",      "--no-shconf", "-m", "1024",
                             "--no-pci",  "--no-telemetry", "--lcores",    core, "--log-level=4"};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) fail("rte_eal_init");
  rte_mempool* pool = rte_pktmbuf_pool_create("peer", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr) fail("rte_pktmbuf_pool_create");
  return pool;
}

uint16_t open_port(const std::string& device, rte_mempool* pool) {
  if (rte_dev_probe(device.c_str()) != 0) fail("rte_dev_probe");
  uint16_t port = 0;
  if (rte_eth_dev_get_port_by_name(device.substr(0, device.find(',')).c_str(), &port) != 0) fail("no port");
  const rte_eth_conf conf{};
  if (rte_eth_dev_configure(port, 1, 0, &conf) != 0) fail("rte_eth_dev_configure");
  if (rte_eth_rx_queue_setup(port, 0, 1024, 0, nullptr, pool) != 0) fail("rte_eth_rx_queue_setup");
  if (rte_eth_dev_start(port) != 0) fail("rte_eth_dev_start");
  return port;
}

void read(uint16_t port, uint64_t packets) {
  const peer::Meter meter;
  peer::Work work;
  std::array<rte_mbuf*, kBurst> burst;
  while (work.packets < packets) {
    const uint16_t count = rte_eth_rx_burst(port, 0, burst.data(), kBurst);
    for (uint16_t i = 0; i < count; i++) work.look(rte_pktmbuf_mtod(burst[i], const void*), burst[i]->data_len);
    rte_pktmbuf_free_bulk(burst.data(), count);
    work.packets += count;
  }
  meter.print(work);
}

/// UDP and TCP over IPv4 and IPv6, half of it to the ports 53 and 80, in no order that could be learned.
std::vector<rte_mbuf*> frames(rte_mempool* pool) {
  std::mt19937 random(1);
  std::vector<rte_mbuf*> list(4096);
  for (rte_mbuf*& packet : list) {
    packet = rte_pktmbuf_alloc(pool);
    if (packet == nullptr) fail("rte_pktmbuf_alloc");
    auto* p = rte_pktmbuf_append(packet, 80);
    std::memset(p, 0, 80);
    const bool six = random() % 4 == 0;
    const bool tcp = random() % 2 == 0;
    const bool wanted = random() % 2 == 0;
    p[12] = static_cast<char>(six ? 0x86 : 0x08);
    p[13] = static_cast<char>(six ? 0xdd : 0x00);
    p[14] = static_cast<char>(six ? 0x60 : 0x45);
    p[six ? 20 : 23] = tcp ? 6 : 17;
    char* ports = p + (six ? 54 : 34);
    ports[0] = static_cast<char>(0x80);
    ports[3] = static_cast<char>(!wanted ? 99 : tcp ? 80 : 53);
  }
  return list;
}

void filter(const ringtap::dpdk::MbufFilter& filter, const std::vector<rte_mbuf*>& packets, uint64_t count) {
  const peer::Meter meter;
  peer::Work work;
  while (work.packets < count) {
    for (rte_mbuf* packet : packets) work.bytes += filter.keep(packet) != 0 ? 1 : 0;
    work.packets += packets.size();
  }
  meter.print(work);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  rte_mempool* pool = start();
  char line[64];
  if (std::string(argv[1]) == "filter" && argc == 3) {
    auto program = ringtap::compile_filter(argv[2], 1, 262144);
    if (!program) fail(program.error().message.c_str());
    const ringtap::dpdk::MbufFilter compiled(*program);
    if (!compiled.compiled()) fail("DPDK does not compile this");
    const auto packets = frames(pool);
    peer::say_ready();
    while (std::fgets(line, sizeof line, stdin) != nullptr) filter(compiled, packets, peer::number(line));
    return 0;
  }
  const uint16_t port = open_port(argv[1], pool);
  peer::say_ready();
  while (std::fgets(line, sizeof line, stdin) != nullptr) read(port, peer::number(line));
  return 0;
}
