// peer-afxdp INTERFACE WARMUP COUNT: a bare AF_XDP socket on queue 0, in native mode: 16,384 frames of 2 KiB, lent and
// given back in batches of 256. It waits as ringtap does: 1 ms after what it read, for more to gather, and then in
// poll().
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>

#include "backends/afxdp/abi.h"
#include "backends/afxdp/bpf.h"
#include "backends/afxdp/program.h"
#include "peer.h"

namespace {

constexpr uint32_t kFrames = 16384;
constexpr uint32_t kFrameBytes = 2048;
constexpr uint32_t kBatch = 256;
constexpr uint32_t kGatherUs = 1000;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <class T>
T value_of(ringtap::Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "peer-afxdp: %s\n", result.error().message.c_str());
  std::exit(1);
}

template <class T>
void set(int fd, int option, const T& value) {
  if (setsockopt(fd, SOL_XDP, option, &value, sizeof value) != 0) fail("setsockopt");
}

/// A ring of kFrames entries, shared with the kernel.
template <class T>
struct Ring {
  uint32_t* producer;
  uint32_t* consumer;
  uint32_t* flags;
  T* entries;

  Ring(int fd, uint64_t page, const xdp_ring_offset& at) {
    void* base = mmap(nullptr, at.desc + size_t{kFrames} * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      fd, static_cast<off_t>(page));
    if (base == MAP_FAILED) fail("mmap");
    // SAFETY: the kernel's layout.
    auto* bytes = static_cast<uint8_t*>(base);
    producer = reinterpret_cast<uint32_t*>(bytes + at.producer);
    consumer = reinterpret_cast<uint32_t*>(bytes + at.consumer);
    flags = reinterpret_cast<uint32_t*>(bytes + at.flags);
    entries = reinterpret_cast<T*>(bytes + at.desc);
  }
  T& operator[](uint32_t i) const { return entries[i & (kFrames - 1)]; }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const auto interface = static_cast<int>(if_nametoindex(argv[1]));
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
  set(fd, XDP_UMEM_COMPLETION_RING, uint32_t{64});
  set(fd, XDP_RX_RING, kFrames);
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) fail("getsockopt");
  const Ring<xdp_desc> rx(fd, XDP_PGOFF_RX_RING, offsets.rx);
  const Ring<uint64_t> fill(fd, XDP_UMEM_PGOFF_FILL_RING, offsets.fr);
  uint32_t filled = 0;
  while (filled < kFrames) fill[filled] = uint64_t{filled} * kFrameBytes, filled++;
  __atomic_store_n(fill.producer, filled, __ATOMIC_RELEASE);

  using namespace ringtap::afxdp;
  const auto map = value_of(create_map({.type = BPF_MAP_TYPE_XSKMAP}));
  const auto program = value_of(load_program(value_of(assemble({.xsk_map = map.get()})).program, false));
  const auto link = value_of(attach_xdp(program.get(), interface, argv[1], AttachMode::kNative));
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_USE_NEED_WAKEUP;
  address.sxdp_ifindex = static_cast<uint32_t>(interface);
  // SAFETY: bind() takes every address family through sockaddr.
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail(argv[1]);
  value_of(set_map(map.get(), 0, static_cast<uint32_t>(fd)));

  peer::Transfer transfer(peer::number(argv[2]), peer::number(argv[3]));
  pollfd readable{fd, POLLIN, 0};
  const auto* frames = static_cast<const uint8_t*>(memory);
  uint32_t consumed = 0;
  bool gathered = false;
  peer::say_ready();
  for (bool idle = false; transfer.go_on(idle);) {
    const uint32_t there = __atomic_load_n(rx.producer, __ATOMIC_ACQUIRE) - consumed;
    idle = false;
    if (there == 0) {
      if (gathered) {
        idle = poll(&readable, 1, peer::Transfer::kPatienceMs / 10) == 0;
      } else {
        usleep(kGatherUs);
        gathered = true;
      }
      continue;
    }
    gathered = false;
    const uint32_t count = std::min(there, kBatch);
    for (uint32_t i = 0; i < count; i++) {
      const xdp_desc& packet = rx[consumed++];
      transfer.work.look(frames + packet.addr, packet.len);
      fill[filled++] = packet.addr & ~uint64_t{kFrameBytes - 1};
    }
    transfer.work.packets += count;
    __atomic_store_n(rx.consumer, consumed, __ATOMIC_RELEASE);
    __atomic_store_n(fill.producer, filled, __ATOMIC_RELEASE);
    if ((__atomic_load_n(fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0) {
      recvfrom(fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    }
  }
  xdp_statistics statistics{};
  length = sizeof statistics;
  getsockopt(fd, SOL_XDP, XDP_STATISTICS, &statistics, &length);
  transfer.print(statistics.rx_dropped + statistics.rx_ring_full + statistics.rx_invalid_descs);
  return 0;
}
