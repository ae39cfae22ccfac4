// A stand-in for libpfring: the functions that ringtap calls, over a socket of family 27 and, for zero copy, over
// memory of its own. As the real one it uses libpcap without naming it, and opens descriptors that children inherit.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "test/pfring/faults.h"

#define RINGTAP_API extern "C" __attribute__((visibility("default")))

// What the real library leaves undefined, and needs for its filters alone.
extern "C" void pcap_freecode(void*);

namespace {

using ringtap::standin::asked_for;

constexpr int kFamily = 27;
constexpr uint64_t kSlotsAt = 8192;
constexpr uint32_t kHeader = 48;
constexpr int kInvalid = -2, kNotEnabled = -12;

template <class T>
T& field(std::byte* at, size_t offset) {
  // SAFETY: the ring's fields are aligned.
  return *reinterpret_cast<T*>(at + offset);
}

}  // namespace

struct pfring {
  int fd = -1;
  std::byte* ring = nullptr;
  uint64_t bytes = 0;
  uint32_t slot_length = 0;
  uint32_t caplen = 0;
  bool enabled = false;
};

namespace {

int set(const pfring* ring, int name, const void* value, socklen_t length) {
  return setsockopt(ring->fd, 0, name, value, length);
}

bool open_ring(pfring& ring, const std::string& names) {
  ring.fd = socket(kFamily, SOCK_RAW, htons(ETH_P_ALL));
  if (ring.fd < 0) return false;
  const uint8_t off = 0;
  if (set(&ring, 107, &ring.caplen, 4) != 0 || set(&ring, 127, &off, 1) != 0) return false;
  const size_t at = std::min(names.find('@'), names.size());
  for (size_t from = 0; from < at;) {
    const size_t comma = std::min(names.find(',', from), at);
    char request[32] = {};
    names.copy(request, std::min<size_t>(comma - from, 31), from);
    socklen_t length = sizeof request;
    if (getsockopt(ring.fd, 0, 185, request, &length) != 0) return false;
    sockaddr_ll address{};
    address.sll_family = kFamily;
    address.sll_protocol = ETH_P_ALL;
    std::memcpy(&address.sll_ifindex, request, sizeof(int));
    // SAFETY: bind() takes every address family through sockaddr.
    if (bind(ring.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
    from = comma + 1;
  }
  if (at < names.size()) {
    const uint64_t mask = uint64_t{1} << std::stoul(names.substr(at + 1));
    if (set(&ring, 108, &mask, 8) != 0) return false;
  }
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0);
  if (page == MAP_FAILED) return false;
  ring.bytes = field<uint64_t>(static_cast<std::byte*>(page), 16);
  munmap(page, 4096);
  void* whole = mmap(nullptr, ring.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0);
  if (whole == MAP_FAILED) return false;
  ring.ring = static_cast<std::byte*>(whole);
  ring.slot_length = field<uint32_t>(ring.ring, 8);
  return true;
}

}  // namespace

RINGTAP_API void pfring_close(pfring* ring) {
  if (ring->ring != nullptr) munmap(ring->ring, ring->bytes);
  if (ring->fd >= 0) close(ring->fd);
  delete ring;
}

RINGTAP_API pfring* pfring_open(const char* device, uint32_t caplen, uint32_t) {
  auto* ring = new pfring;
  ring->caplen = std::min(caplen, 65600u);
  std::string names = device;
  if (names.starts_with("stack:")) names.erase(0, 6);
  if (open_ring(*ring, names)) return ring;
  const int err = errno;
  pfring_close(ring);
  errno = err;
  return nullptr;
}

RINGTAP_API int pfring_version(pfring*, uint32_t* version) {
  *version = 0x80900;
  return 0;
}

RINGTAP_API int pfring_set_bpf_filter(pfring*, char*) {
  pcap_freecode(nullptr);
  return -1;
}

RINGTAP_API int pfring_enable_ring(pfring* ring) {
  if (const auto result = asked_for("enable")) return static_cast<int>(*result);
  const uint32_t on = 1;
  ring->enabled = set(ring, 106, &on, 4) == 0;
  return ring->enabled ? 0 : -1;
}

RINGTAP_API int pfring_recv(pfring* ring, uint8_t** buffer, unsigned length, void* header, uint8_t) {
  if (!ring->enabled) return kNotEnabled;
  if (const auto result = asked_for("recv")) return static_cast<int>(*result);
  std::byte* at = ring->ring;
  if (__atomic_load_n(&field<uint64_t>(at, 56), __ATOMIC_ACQUIRE) == field<uint64_t>(at, 4096)) return 0;
  const uint64_t offset = field<uint64_t>(at, 4104);
  std::byte* slot = at + kSlotsAt + offset;
  const uint32_t caplen = field<uint32_t>(slot, 16);
  std::memcpy(header, slot, kHeader);
  if (length == 0) {
    *buffer = reinterpret_cast<uint8_t*>(slot + kHeader);
  } else {
    std::memcpy(*buffer, slot + kHeader, std::min(length, caplen));
  }
  const uint64_t next = offset + ((kHeader + caplen + 2 + 7) & ~7u);
  __atomic_fetch_add(&field<uint64_t>(at, 4096), 1, __ATOMIC_SEQ_CST);
  __atomic_store_n(&field<uint64_t>(at, 4104), next + ring->slot_length > ring->bytes - kSlotsAt ? 0 : next,
                   __ATOMIC_RELEASE);
  return 1;
}

RINGTAP_API int pfring_get_selectable_fd(pfring* ring) { return ring->fd; }

RINGTAP_API int pfring_stats(pfring* ring, uint64_t* stats) {
  stats[0] = ring->enabled ? __atomic_load_n(&field<uint64_t>(ring->ring, 4096), __ATOMIC_ACQUIRE) : 0;
  stats[1] = ring->enabled ? __atomic_load_n(&field<uint64_t>(ring->ring, 48), __ATOMIC_ACQUIRE) : 0;
  stats[2] = 0;
  return 0;
}

RINGTAP_API uint32_t pfring_get_num_queued_pkts(pfring* ring) {
  return static_cast<uint32_t>(__atomic_load_n(&field<uint64_t>(ring->ring, 56), __ATOMIC_ACQUIRE) -
                               __atomic_load_n(&field<uint64_t>(ring->ring, 4096), __ATOMIC_ACQUIRE));
}

RINGTAP_API int pfring_set_direction(pfring* ring, uint32_t direction) { return set(ring, 111, &direction, 4); }
RINGTAP_API int pfring_set_poll_watermark(pfring* ring, uint16_t watermark) { return set(ring, 117, &watermark, 2); }
RINGTAP_API int pfring_set_application_name(pfring* ring, char* name) {
  return set(ring, 110, name, static_cast<socklen_t>(std::strlen(name)));
}
RINGTAP_API uint8_t pfring_get_num_rx_channels(pfring* ring) {
  uint8_t answer[4] = {1};
  socklen_t length = sizeof answer;
  return getsockopt(ring->fd, 0, 174, answer, &length) == 0 ? answer[0] : 1;
}
RINGTAP_API int pfring_set_cluster(pfring* ring, unsigned id, uint32_t mode) {
  if (id == 0 || mode > 13) return kInvalid;
  const uint32_t request[3] = {id | uint32_t{64} << 16, 0, mode};
  return set(ring, 99, request, sizeof request);
}
RINGTAP_API int pfring_remove_from_cluster(pfring* ring) { return set(ring, 100, nullptr, 0); }
RINGTAP_API int pfring_send(pfring* ring, char* frame, unsigned bytes, uint8_t) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  // SAFETY: sendto() takes every address family through sockaddr.
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  return static_cast<int>(sendto(ring->fd, frame, bytes, 0, to, sizeof address));
}

// Zero copy: buffers in one mapping, each with a head of its own in front, as handles.
struct pfring_zc_pkt_buff {
  uint16_t length;
  uint16_t flags;
  uint32_t hash;
  uint32_t seconds;
  uint32_t nanoseconds;
};

struct pfring_zc_cluster {
  std::byte* memory;
  size_t bytes;
  uint32_t buffer_bytes;
  std::vector<pfring_zc_pkt_buff*> free;
};

struct pfring_zc_queue {
  pfring_zc_cluster* cluster;
  int fd;
  std::atomic<uint64_t> received{0};
  std::atomic<uint64_t> dropped{0};
};

RINGTAP_API pfring_zc_cluster* pfring_zc_create_cluster(uint32_t, uint32_t buffer_bytes, uint32_t, uint32_t buffers,
                                                        int32_t, const char*, uint32_t) {
  if (const auto err = asked_for("zcCluster")) {
    errno = static_cast<int>(*err);
    return nullptr;
  }
  const size_t stride = buffer_bytes + 64;
  const size_t bytes = (stride * buffers + 4095) / 4096 * 4096;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* cluster = new pfring_zc_cluster{static_cast<std::byte*>(memory), bytes, buffer_bytes, {}};
  for (uint32_t i = 0; i < buffers; i++) {
    cluster->free.push_back(reinterpret_cast<pfring_zc_pkt_buff*>(cluster->memory + i * stride));
  }
  return cluster;
}

RINGTAP_API int pfring_zc_destroy_cluster(pfring_zc_cluster* cluster) {
  munmap(cluster->memory, cluster->bytes);
  delete cluster;
  return 0;
}

RINGTAP_API pfring_zc_queue* pfring_zc_open_device(pfring_zc_cluster* cluster, const char* device, uint32_t, uint32_t) {
  if (const auto err = asked_for("zcDevice")) {
    errno = static_cast<int>(*err);
    return nullptr;
  }
  std::string name = std::string(device).substr(3);
  name = name.substr(0, name.find('@'));
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
  if (fd < 0) return nullptr;
  const int room = 256 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ringtap::standin::interface_number(fd, name);
  // SAFETY: bind() takes every address family through sockaddr.
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int err = errno;
    close(fd);
    errno = err;
    return nullptr;
  }
  auto* queue = new pfring_zc_queue;
  queue->cluster = cluster;
  queue->fd = fd;
  return queue;
}

RINGTAP_API int pfring_zc_close_device(pfring_zc_queue* queue) {
  close(queue->fd);
  delete queue;
  return 0;
}

RINGTAP_API pfring_zc_pkt_buff* pfring_zc_get_packet_handle(pfring_zc_cluster* cluster) {
  if (cluster->free.empty()) return nullptr;
  auto* handle = cluster->free.back();
  cluster->free.pop_back();
  return handle;
}

RINGTAP_API uint8_t* pfring_zc_pkt_buff_data(pfring_zc_pkt_buff* handle, pfring_zc_queue*) {
  return reinterpret_cast<uint8_t*>(handle) + 64;
}

RINGTAP_API int pfring_zc_queue_is_empty(pfring_zc_queue* queue) {
  char byte;
  return recv(queue->fd, &byte, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) < 0 ? 1 : 0;
}

// Hands back another buffer than it was given, as a NIC does.
RINGTAP_API int pfring_zc_recv_pkt_burst(pfring_zc_queue* queue, pfring_zc_pkt_buff** handles, uint32_t most, uint8_t) {
  if (const auto after = asked_for("zcTrial"); after && queue->received >= static_cast<uint64_t>(*after)) return -1;
  uint32_t count = 0;
  for (; count < most; count++) {
    pfring_zc_pkt_buff* spare = queue->cluster->free.empty() ? handles[count] : queue->cluster->free.back();
    const ssize_t got =
        recv(queue->fd, reinterpret_cast<uint8_t*>(spare) + 64, queue->cluster->buffer_bytes, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0) break;
    if (spare != handles[count]) {
      queue->cluster->free.back() = handles[count];
      std::rotate(queue->cluster->free.begin(), queue->cluster->free.end() - 1, queue->cluster->free.end());
      handles[count] = spare;
    }
    spare->length = static_cast<uint16_t>(std::min<size_t>(static_cast<size_t>(got), queue->cluster->buffer_bytes));
    spare->hash = 0;
    spare->seconds = 0;
    spare->nanoseconds = 0;
    queue->received++;
  }
  return static_cast<int>(count);
}

RINGTAP_API int pfring_zc_stats(pfring_zc_queue* queue, uint64_t* stats) {
  stats[0] = queue->received;
  stats[1] = 0;
  stats[2] = queue->dropped;
  return 0;
}

RINGTAP_API int pfring_zc_check_license() { return asked_for("zcTrial") ? 0 : 1; }
