// peer-pfring INTERFACE BATCH: a bare ring of PF_RING's kernel module. For each number of packets on stdin: waits until
// so many lie in the ring, and reads them slot by slot, given back in batches.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

namespace {

constexpr int kFamily = 27;
constexpr uint64_t kSlotsAt = 8192;
constexpr uint32_t kHeader = 48;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <class T>
void set(int fd, int option, T value) {
  if (setsockopt(fd, 0, option, &value, sizeof value) != 0) fail("setsockopt");
}

void* map(int fd, size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  return mapped;
}

template <class T>
T& field(uint8_t* base, uint64_t offset) {
  // SAFETY: the module's layout.
  return *reinterpret_cast<T*>(base + offset);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const auto batch = static_cast<uint32_t>(peer::number(argv[2]));
  const int fd = socket(kFamily, SOCK_RAW, htons(ETH_P_ALL));
  if (fd < 0) fail("socket");
  set(fd, 107, uint32_t{65600});
  set(fd, 127, uint8_t{0});
  sockaddr_ll address{};
  address.sll_family = kFamily;
  address.sll_protocol = ETH_P_ALL;
  address.sll_ifindex = static_cast<int>(if_nametoindex(argv[1]));
  // SAFETY: bind() takes every address family through sockaddr.
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail(argv[1]);
  const auto total = field<uint64_t>(static_cast<uint8_t*>(map(fd, 4096)), 16);
  auto* ring = static_cast<uint8_t*>(map(fd, total));
  const uint32_t longest = field<uint32_t>(ring, 8);
  uint8_t* slots = ring + kSlotsAt;
  set(fd, 117, uint16_t{1});
  set(fd, 106, uint32_t{1});

  uint64_t read = 0;
  uint64_t at = 0;
  peer::say_ready();
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    const uint64_t end = read + peer::number(line);
    while (__atomic_load_n(&field<uint64_t>(ring, 56), __ATOMIC_ACQUIRE) < end) usleep(1000);
    const peer::Meter meter;
    peer::Work work;
    while (read < end) {
      const uint64_t inserted = __atomic_load_n(&field<uint64_t>(ring, 56), __ATOMIC_ACQUIRE);
      uint32_t count = 0;
      for (; read != inserted && count < batch; read++, count++) {
        const uint32_t caplen = field<uint32_t>(slots, at + 16);
        work.look(slots + at + kHeader, caplen);
        at += (kHeader + caplen + 2 + 7) & ~7u;
        if (at + longest > total - kSlotsAt) at = 0;
      }
      work.packets += count;
      field<uint64_t>(ring, 4096) = read;
      __atomic_store_n(&field<uint64_t>(ring, 4104), at, __ATOMIC_RELEASE);
    }
    meter.print(work);
  }
  return 0;
}
