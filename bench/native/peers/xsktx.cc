// peer-xsktx INTERFACE SIZE COUNT: sends frames through a bare AF_XDP socket on queue 0 in copy mode: each is copied
// into the memory once, and the kernel is called for every 32, which is as many as it sends in one call.
#include <net/if.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "backends/afxdp/abi.h"
#include "peer.h"

namespace {

constexpr uint32_t kFrames = 1024;
constexpr uint32_t kFrameBytes = 2048;
constexpr uint32_t kTogether = 32;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <class T>
void set(int fd, int option, const T& value) {
  if (setsockopt(fd, SOL_XDP, option, &value, sizeof value) != 0) fail("setsockopt");
}

struct Map {
  uint32_t* producer;
  uint32_t* consumer;
  uint8_t* entries;

  Map(int fd, uint64_t page, const xdp_ring_offset& at, size_t bytes_each) {
    void* base = mmap(nullptr, at.desc + kFrames * bytes_each, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                      static_cast<off_t>(page));
    if (base == MAP_FAILED) fail("mmap");
    // SAFETY: the kernel's layout.
    auto* bytes = static_cast<uint8_t*>(base);
    producer = reinterpret_cast<uint32_t*>(bytes + at.producer);
    consumer = reinterpret_cast<uint32_t*>(bytes + at.consumer);
    entries = bytes + at.desc;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const auto size = static_cast<uint32_t>(std::min<uint64_t>(peer::number(argv[2]), kFrameBytes));
  const uint64_t count = peer::number(argv[3]);
  const int fd = socket(AF_XDP, SOCK_RAW, 0);
  if (fd < 0) fail("socket");
  void* memory = mmap(nullptr, size_t{kFrames} * kFrameBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  xdp_umem_reg umem{};
  umem.addr = std::bit_cast<uint64_t>(memory);
  umem.len = uint64_t{kFrames} * kFrameBytes;
  umem.chunk_size = kFrameBytes;
  set(fd, XDP_UMEM_REG, umem);
  set(fd, XDP_UMEM_FILL_RING, kFrames);
  set(fd, XDP_UMEM_COMPLETION_RING, kFrames);
  set(fd, XDP_TX_RING, kFrames);
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) fail("getsockopt");
  const Map tx(fd, XDP_PGOFF_TX_RING, offsets.tx, sizeof(xdp_desc));
  const Map completion(fd, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, sizeof(uint64_t));
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;
  address.sxdp_ifindex = if_nametoindex(argv[1]);
  // The kernel lets go of a queue some time after its last socket was closed.
  for (int tries = 0;; tries++) {
    // SAFETY: bind() takes every address family through sockaddr.
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) break;
    if (errno != EBUSY || tries == 1000) fail(argv[1]);
    usleep(1000);
  }

  // UDP from 198.18.0.1 to 198.19.0.1, port 9, as bench/senders/transmit.mjs sends it.
  std::vector<uint8_t> frame(size);
  const uint8_t head[] = {2,
                          0,
                          0,
                          0,
                          0,
                          2,
                          2,
                          0,
                          0,
                          0,
                          0,
                          1,
                          8,
                          0,
                          0x45,
                          0,
                          static_cast<uint8_t>((size - 14) >> 8),
                          static_cast<uint8_t>(size - 14),
                          0,
                          0,
                          0x40,
                          0,
                          64,
                          17,
                          0,
                          0,
                          198,
                          18,
                          0,
                          1,
                          198,
                          19,
                          0,
                          1};
  std::copy_n(head, std::min<size_t>(sizeof head, size), frame.begin());
  auto* const slots = static_cast<uint8_t*>(memory);
  // SAFETY: the kernel's layout.
  auto* const descriptors = reinterpret_cast<xdp_desc*>(tx.entries);
  peer::say_ready();
  if (std::getchar() == EOF) return 1;
  const auto begin = std::chrono::steady_clock::now();
  uint32_t produced = 0;
  uint64_t completed = 0;
  while (completed < count) {
    uint32_t some = 0;
    while (some < kTogether && produced < count && produced - completed < kFrames) {
      const uint32_t slot = produced & (kFrames - 1);
      std::memcpy(slots + size_t{slot} * kFrameBytes, frame.data(), size);
      descriptors[slot] = {.addr = uint64_t{slot} * kFrameBytes, .len = size, .options = 0};
      produced++;
      some++;
    }
    __atomic_store_n(tx.producer, produced, __ATOMIC_RELEASE);
    if (sendto(fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 && errno != EAGAIN && errno != EBUSY) fail("sendto");
    const uint32_t done = __atomic_load_n(completion.producer, __ATOMIC_ACQUIRE);
    completed += done - static_cast<uint32_t>(completed);
    __atomic_store_n(completion.consumer, done, __ATOMIC_RELEASE);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("{\"sent\":%" PRIu64 ",\"seconds\":%f,\"pps\":%.0f}\n", completed, seconds,
              static_cast<double>(completed) / seconds);
  return 0;
}
