// peer-tpacket3 INTERFACE WARMUP COUNT: a bare TPACKET_V3 ring of 64 blocks of 1 MiB, 10 ms.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "peer.h"

namespace {

constexpr uint32_t kBlockBytes = 1 << 20;
constexpr uint32_t kBlocks = 64;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <class T>
void set(int fd, int option, const T& value) {
  if (setsockopt(fd, SOL_PACKET, option, &value, sizeof value) != 0) fail("setsockopt");
}

void read_block(const uint8_t* block, peer::NumberedWork& work) {
  // SAFETY: the kernel's layout; it has given us the block.
  const auto& head = reinterpret_cast<const tpacket_block_desc*>(block)->hdr.bh1;
  const uint8_t* at = block + head.offset_to_first_pkt;
  for (uint32_t i = 0; i < head.num_pkts; i++) {
    const auto* packet = reinterpret_cast<const tpacket3_hdr*>(at);
    work.look(at + packet->tp_mac, packet->tp_snaplen);
    at += packet->tp_next_offset;
  }
  work.packets += head.num_pkts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) fail("socket");
  set(fd, PACKET_VERSION, int{TPACKET_V3});
  tpacket_req3 ring{};
  ring.tp_block_size = kBlockBytes;
  ring.tp_block_nr = kBlocks;
  ring.tp_frame_size = 256;
  ring.tp_frame_nr = kBlockBytes / 256 * kBlocks;
  ring.tp_retire_blk_tov = 10;
  set(fd, PACKET_RX_RING, ring);
  void* mapped = mmap(nullptr, size_t{kBlockBytes} * kBlocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(argv[1]));
  // SAFETY: bind() takes every address family through sockaddr.
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail(argv[1]);

  peer::Transfer transfer(peer::number(argv[2]), peer::number(argv[3]));
  pollfd readable{fd, POLLIN | POLLERR, 0};
  auto* base = static_cast<uint8_t*>(mapped);
  uint32_t current = 0;
  peer::say_ready();
  for (bool idle = false; transfer.go_on(idle);) {
    uint8_t* block = base + size_t{current} * kBlockBytes;
    // SAFETY: the kernel's layout.
    __u32* status = &reinterpret_cast<tpacket_block_desc*>(block)->hdr.bh1.block_status;
    idle = false;
    if ((__atomic_load_n(status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) {
      idle = poll(&readable, 1, peer::Transfer::kPatienceMs / 10) == 0;
      continue;
    }
    read_block(block, transfer.work);
    __atomic_store_n(status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    current = (current + 1) % kBlocks;
  }
  tpacket_stats_v3 statistics{};
  socklen_t length = sizeof statistics;
  getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length);
  transfer.print(statistics.tp_drops);
  return 0;
}
