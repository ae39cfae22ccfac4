// A stand-in for PF_RING's kernel module: the system calls on a socket of family 27, answered in this process.
//
// Linked into a test or preloaded into Node, it takes the place of libc's functions and passes on what is not for it.
// Packets are those of the real interface, which an AF_PACKET socket of its own hears; the kernel runs the filter on
// them. What the module does with a packet is done here, in a thread a socket.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "test/pfring/faults.h"

namespace ringtap::standin {
namespace {

// Written from the facts once more, so that a mistake in the client's abi.h shows.
constexpr int kFamily = 27;
constexpr int kAnyInterface = 0x7ffffffe;
constexpr uint64_t kSlotsAt = 8192;
constexpr uint32_t kLongHeader = 209;
constexpr uint32_t kShortHeader = 48;
constexpr uint32_t kDefaultSlots = 4096;
constexpr uint32_t kMinSlots = 512;
constexpr uint32_t kJumbo = 1600;
constexpr int kSocketBuffer = 256 << 20;
constexpr size_t kFrameBytes = 1 << 17;

template <class T>
T& field(std::byte* at, size_t offset) {
  // SAFETY: the ring's fields are aligned; the memory outlives the use.
  return *reinterpret_cast<T*>(at + offset);
}

template <class T>
void put(std::byte* at, size_t offset, T value) {
  std::memcpy(at + offset, &value, sizeof value);
}

int real_socket(int domain, int type, int protocol) {
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}
int real_close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }
int real_setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, length));
}
void* real_mmap(void* at, size_t bytes, int rights, int flags, int fd, off_t offset) {
  // SAFETY: the system call returns an address.
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, bytes, rights, flags, fd, offset));
}

int failed(int err) {
  errno = err;
  return -1;
}

uint32_t queues_of(const std::string& interface) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&channels);  // SAFETY: the ioctl's documented argument
  const int fd = real_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool known = ioctl(fd, SIOCETHTOOL, &request) == 0;
  real_close(fd);
  return known ? std::max<uint32_t>(1, channels.rx_count + channels.combined_count) : 1;
}

/// What a client writes to join a cluster.
struct Cluster {
  uint16_t id;
  uint16_t queue;
  uint32_t options;
  uint32_t mode;
};

class Socket {
 public:
  Socket() = default;
  ~Socket() { stop(); }
  Socket(const Socket&) = delete;

  /// The descriptor that the client sees, or -1.
  int open(bool close_on_exec);
  int bind(const sockaddr* address, socklen_t length);
  int set(int level, int name, const void* value, socklen_t length);
  int get(int level, int name, void* value, socklen_t* length);
  void* map(size_t bytes);
  ssize_t send(const void* frame, size_t bytes, const sockaddr* to, socklen_t length);

  std::atomic<int> references{1};  // the descriptor, and each mapping

 private:
  int allocate();
  void activate();
  void attach();
  void stop();
  void run();
  void hear();
  void insert(const std::byte* frame, uint32_t length, const msghdr& message);
  bool has_room() const;
  void show_level();
  uint64_t queued() const {
    return __atomic_load_n(&field<uint64_t>(ring_, 56), __ATOMIC_ACQUIRE) -
           __atomic_load_n(&field<uint64_t>(ring_, 4096), __ATOMIC_ACQUIRE);
  }
  bool wanted(int interface) const {
    return any_ || std::find(interfaces_.begin(), interfaces_.end(), interface) != interfaces_.end();
  }

  std::mutex mutex_;
  int event_ = -1;  // readable for as long as the watermark is reached
  int feed_ = -1;
  int memory_ = -1;
  int wake_ = -1;
  std::byte* ring_ = nullptr;
  uint64_t total_ = 0;
  uint32_t slot_length_ = 0;
  uint32_t header_ = kLongHeader;
  uint32_t bucket_ = 128;
  uint32_t direction_ = 0;
  uint16_t watermark_ = 128;
  uint64_t channels_ = ~uint64_t{0};
  Cluster cluster_{};
  std::vector<int> interfaces_;
  bool any_ = false;
  bool active_ = false;
  bool readable_ = false;
  int maps_ = 0;
  std::vector<sock_filter> filter_;
  std::byte frame_[kFrameBytes];
  std::thread thread_;
  uint64_t heard_ = 0;
};

int Socket::open(bool close_on_exec) {
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  feed_ = real_socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int shown = feed_ < 0 ? -1 : fcntl(event_, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
  if (shown < 0) return -1;
  const int on = 1;
  real_setsockopt(feed_, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer);
  real_setsockopt(feed_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  real_setsockopt(feed_, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
  return shown;
}

int Socket::bind(const sockaddr* address, socklen_t length) {
  sockaddr_ll wanted{};
  if (length != sizeof wanted) return failed(EINVAL);
  std::memcpy(&wanted, address, sizeof wanted);
  if (wanted.sll_family != kFamily) return failed(EINVAL);
  if (wanted.sll_ifindex == kAnyInterface) {
    any_ = true;
    return 0;
  }
  ifreq request{};
  request.ifr_ifindex = wanted.sll_ifindex;
  if (ioctl(feed_, SIOCGIFNAME, &request) != 0) return failed(EINVAL);
  if (ioctl(feed_, SIOCGIFHWADDR, &request) != 0) return failed(EINVAL);
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER && request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK) {
    return failed(EINVAL);
  }
  if (ioctl(feed_, SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) == 0) return failed(ENETDOWN);
  interfaces_.push_back(wanted.sll_ifindex);
  channels_ = ~uint64_t{0};
  return 0;
}

int Socket::set(int level, int name, const void* value, socklen_t length) {
  if (level != 0) return failed(ENOPROTOOPT);
  const auto take = [&](auto& into) {
    if (length != sizeof into) return failed(EINVAL);
    std::memcpy(&into, value, sizeof into);
    return 0;
  };
  const std::scoped_lock lock(mutex_);
  switch (name) {
    case SO_ATTACH_FILTER: {
      sock_fprog program{};
      if (take(program) != 0) return -1;
      if (program.len <= 1) return 0;  // the module takes such a program for none
      if (asked_for("filter").value_or(0) != 0) return failed(static_cast<int>(*asked_for("filter")));
      filter_.assign(program.filter, program.filter + program.len);
      if (active_) attach();
      return 0;
    }
    case 99:
      return take(cluster_);
    case 100:
      return 0;
    case 106:
      if (ring_ != nullptr) activate();
      return 0;
    case 107:
      return take(bucket_);
    case 108:
      return take(channels_);
    case 110:
      return length < 64 ? 0 : failed(EINVAL);
    case 111:
      return take(direction_);
    case 116:
      active_ = false;
      return 0;
    case 117:
      if (take(watermark_) != 0) return -1;
      if (ring_ != nullptr)
        watermark_ = static_cast<uint16_t>(std::min<uint32_t>(watermark_, field<uint32_t>(ring_, 4) / 2));
      watermark_ = std::max<uint16_t>(watermark_, 1);
      return 0;
    case 126:
      return length == 4 ? 0 : failed(EINVAL);
    case 127:
      header_ = kShortHeader;
      return 0;
    default:
      return failed(ENOPROTOOPT);
  }
}

int Socket::get(int level, int name, void* value, socklen_t* length) {
  const auto give = [&](auto what) {
    if (*length < sizeof what) return failed(EINVAL);
    std::memcpy(value, &what, sizeof what);
    return 0;
  };
  if (level == SOL_SOCKET && name == SO_DOMAIN) return give(kFamily);
  if (level != 0) return failed(ENOPROTOOPT);
  switch (name) {
    case 174: {
      char interface[IF_NAMESIZE] = "lo";
      if (!interfaces_.empty()) if_indextoname(static_cast<unsigned>(interfaces_.front()), interface);
      return give(static_cast<uint8_t>(queues_of(interface)));
    }
    case 178:
      return give(static_cast<uint32_t>(queued()));
    case 179:
      return give(static_cast<uint16_t>(asked_for("header").value_or(header_)));
    case 185: {
      if (*length < 4 || *length > 32) return failed(EINVAL);
      const std::string interface(static_cast<const char*>(value), strnlen(static_cast<const char*>(value), *length));
      const int number = interface == "any" ? kAnyInterface : interface_number(feed_, interface);
      return number == 0 ? failed(EINVAL) : give(number);
    }
    default:
      return failed(ENOPROTOOPT);
  }
}

int Socket::allocate() {
  const auto slot = [this](uint32_t bucket) { return (header_ + bucket + 2 + 7) & ~7u; };
  const auto wanted = static_cast<uint32_t>(asked_for("slots").value_or(kDefaultSlots));
  slot_length_ = slot(bucket_);
  total_ = kSlotsAt + uint64_t{wanted} * slot_length_;
  if (bucket_ > kJumbo) {
    total_ = kSlotsAt + uint64_t{wanted} * slot(kJumbo);
    const uint32_t least = asked_for("slots") ? 4 : kMinSlots;
    if ((total_ - kSlotsAt) / slot_length_ < least) total_ = kSlotsAt + uint64_t{least} * slot_length_;
  }
  total_ = (total_ + 4095) / 4096 * 4096 + 4096;
  memory_ = memfd_create("pfring", MFD_CLOEXEC);
  if (memory_ < 0) return -1;
  if (ftruncate(memory_, static_cast<off_t>(total_)) != 0) return failed(ENOMEM);
  void* mapped = real_mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_, 0);
  if (mapped == MAP_FAILED) return failed(ENOMEM);
  ring_ = static_cast<std::byte*>(mapped);
  field<uint16_t>(ring_, 0) = static_cast<uint16_t>(asked_for("version").value_or(21));
  field<uint32_t>(ring_, 4) = static_cast<uint32_t>((total_ - kSlotsAt) / slot_length_);
  field<uint32_t>(ring_, 8) = static_cast<uint32_t>(asked_for("slotLength").value_or(slot_length_));
  field<uint32_t>(ring_, 12) = bucket_;
  field<uint64_t>(ring_, 16) = static_cast<uint64_t>(asked_for("bytes").value_or(static_cast<long>(total_)));
  return 0;
}

void* Socket::map(size_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (ring_ == nullptr && allocate() != 0) return MAP_FAILED;
  if (bytes > total_ || bytes % 4096 != 0) {
    errno = EINVAL;
    return MAP_FAILED;
  }
  if (++maps_ == 2 && asked_for("grow")) field<uint64_t>(ring_, 16) += 4096;
  void* mapped = real_mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_, 0);
  if (mapped != MAP_FAILED) references++;
  return mapped;
}

ssize_t Socket::send(const void* frame, size_t bytes, const sockaddr* to, socklen_t length) {
  if (to == nullptr) return failed(ENOTCONN);
  if (length < sizeof(sockaddr)) return failed(EINVAL);
  if (interfaces_.empty()) return failed(ENETDOWN);
  ifreq request{};
  if (if_indextoname(static_cast<unsigned>(interfaces_.front()), request.ifr_name) == nullptr) return failed(ENETDOWN);
  if (ioctl(feed_, SIOCGIFMTU, &request) == 0 && bytes > static_cast<size_t>(request.ifr_mtu) + 14 + 4) {
    return failed(EMSGSIZE);
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = interfaces_.front();
  return syscall(SYS_sendto, feed_, frame, bytes, 0, &address, sizeof address);
}

// In front of the client's program: the queues, which AF_PACKET does not tell otherwise.
void Socket::attach() {
  std::vector<sock_filter> program;
  if (channels_ != ~uint64_t{0}) {
    std::vector<uint32_t> allowed;
    for (uint32_t queue = 0; queue < 64; queue++) {
      if ((channels_ >> queue & 1) == 0) continue;
      allowed.push_back(queue + 1);
      if (queue == 0) allowed.push_back(0);
    }
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_QUEUE)));
    for (size_t i = 0; i < allowed.size(); i++) {
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], static_cast<uint8_t>(allowed.size() - i), 0));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  const size_t first = program.size();
  program.insert(program.end(), filter_.begin(), filter_.end());
  if (filter_.empty()) program.push_back(BPF_STMT(BPF_RET | BPF_K, 0x40000));
  // The module asks only whether the answer is 0.
  for (size_t i = first; i < program.size(); i++) {
    if (program[i].code == (BPF_RET | BPF_K) && program[i].k != 0) program[i].k = 0x40000;
  }
  const sock_fprog request{static_cast<unsigned short>(program.size()), program.data()};
  if (real_setsockopt(feed_, SOL_SOCKET, SO_ATTACH_FILTER, &request, sizeof request) != 0) {
    std::perror("stand-in: SO_ATTACH_FILTER");
    std::abort();
  }
}

void Socket::activate() {
  if (active_) return;
  active_ = true;
  attach();
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = any_ || interfaces_.size() != 1 ? 0 : interfaces_.front();
  syscall(SYS_bind, feed_, &address, sizeof address);
  if (cluster_.id != 0) {
    const uint32_t fanout = cluster_.id | (cluster_.mode == 1 ? PACKET_FANOUT_LB : PACKET_FANOUT_HASH) << 16;
    if (real_setsockopt(feed_, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout) != 0) {
      std::perror("stand-in: PACKET_FANOUT");
      std::abort();
    }
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void Socket::stop() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  if (ring_ != nullptr) syscall(SYS_munmap, ring_, total_);
  for (const int fd : {event_, feed_, memory_, wake_}) {
    if (fd >= 0) real_close(fd);
  }
}

void Socket::run() {
  for (;;) {
    pollfd waiting[] = {{feed_, POLLIN, 0}, {wake_, POLLIN, 0}};
    // Nobody tells that the client has read: look.
    poll(waiting, 2, readable_ ? 1 : -1);
    if (waiting[1].revents != 0) return;
    const std::scoped_lock lock(mutex_);
    for (int i = 0; i < 64 && (waiting[0].revents & POLLIN) != 0; i++) {
      const uint64_t before = heard_;
      hear();
      if (heard_ == before) break;
    }
    if ((waiting[0].revents & (POLLERR | POLLHUP)) != 0) {
      int err = 0;
      socklen_t length = sizeof err;
      syscall(SYS_getsockopt, feed_, SOL_SOCKET, SO_ERROR, &err, &length);
    }
    show_level();
  }
}

void Socket::hear() {
  iovec part{frame_, sizeof frame_};
  alignas(cmsghdr) char control[256];
  sockaddr_ll from{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(feed_, &message, MSG_DONTWAIT);
  if (got < 0) return;
  heard_++;
  if (heard_ % 1024 == 0) {
    tpacket_stats lost{};
    socklen_t length = sizeof lost;
    syscall(SYS_getsockopt, feed_, SOL_PACKET, PACKET_STATISTICS, &lost, &length);
    if (lost.tp_drops > 0) {
      std::fprintf(stderr, "stand-in: %u packets never reached it\n", lost.tp_drops);
      std::abort();
    }
  }
  const bool received = from.sll_pkttype != PACKET_OUTGOING;
  if (!active_ || !wanted(from.sll_ifindex)) return;
  if (direction_ != 0 && (direction_ == 1) != received) return;
  insert(frame_, static_cast<uint32_t>(got), message);
}

void Socket::insert(const std::byte* frame, uint32_t length, const msghdr& message) {
  timespec time{};
  tpacket_auxdata aux{};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) std::memcpy(&time, CMSG_DATA(c), sizeof time);
    if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
  }
  field<uint64_t>(ring_, 40)++;
  if (!has_room()) {
    field<uint64_t>(ring_, 48)++;
    return;
  }
  const auto* from = static_cast<const sockaddr_ll*>(message.msg_name);
  const uint64_t offset = field<uint64_t>(ring_, 24);
  std::byte* slot = ring_ + kSlotsAt + offset;
  const bool tagged = (aux.tp_status & TP_STATUS_VLAN_VALID) != 0 && length >= 12;
  if (tagged && bucket_ < 18) {
    std::fprintf(stderr, "stand-in: here the kernel crashes: a VLAN tag, and slots of %u bytes\n", bucket_);
    std::abort();
  }
  const uint32_t whole = length + (tagged ? 4 : 0);
  const uint32_t caplen = std::min(whole, bucket_);
  std::byte* data = slot + header_;
  if (tagged) {
    const uint16_t tag[2] = {htons(ETH_P_8021Q), htons(aux.tp_vlan_tci)};
    std::memcpy(data, frame, std::min(caplen, 12u));
    if (caplen > 12) std::memcpy(data + 12, tag, std::min(caplen - 12, 4u));
    if (caplen > 16) std::memcpy(data + 16, frame + 12, caplen - 16);
  } else {
    std::memcpy(data, frame, caplen);
  }
  std::memset(slot, 0, header_);
  put(slot, 0, int64_t{time.tv_sec});
  put(slot, 8, int64_t{time.tv_nsec / 1000});
  put(slot, 16, caplen);
  put(slot, 20, whole);
  put(slot, 24,
      static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec) +
          static_cast<uint64_t>(asked_for("nicClock").value_or(0)));
  put(slot, 36, static_cast<uint8_t>(from->sll_pkttype != PACKET_OUTGOING));
  put(slot, 40, int32_t{from->sll_ifindex});
  std::memset(data + caplen, 0x88, 2);
  const uint32_t stride = (header_ + caplen + 2 + 7) & ~7u;
  const uint64_t next = offset + stride + slot_length_ > total_ - kSlotsAt ? 0 : offset + stride;
  if (const auto bad = asked_for("corrupt"); bad && field<uint64_t>(ring_, 56) == static_cast<uint64_t>(*bad)) {
    put(slot, 16, uint32_t{0xfffffff0});
  }
  // The module does not lock such a ring: what two CPUs make of a slot.
  if (direction_ == 1) put(slot, 16, uint32_t{0xfffffff0});
  __atomic_store_n(&field<uint64_t>(ring_, 24), next, __ATOMIC_RELEASE);
  __atomic_fetch_add(&field<uint64_t>(ring_, 56), 1, __ATOMIC_SEQ_CST);
}

bool Socket::has_room() const {
  const uint64_t insert = field<uint64_t>(ring_, 24);
  const uint64_t remove = __atomic_load_n(&field<uint64_t>(ring_, 4104), __ATOMIC_ACQUIRE);
  if (insert == remove) return queued() < field<uint32_t>(ring_, 4);
  if (insert < remove) return remove - insert >= 2 * uint64_t{slot_length_};
  return remove != 0 || total_ - kSlotsAt - insert >= 3 * uint64_t{slot_length_};
}

void Socket::show_level() {
  const bool reached = queued() >= watermark_;
  if (reached == readable_) return;
  readable_ = reached;
  eventfd_t ignored = 0;
  if (reached) {
    eventfd_write(event_, 1);
  } else {
    eventfd_read(event_, &ignored);
  }
}

// Which descriptors and mappings are ours. Plain arrays: they must be good before any constructor and after any
// destructor has run.
constexpr int kMost = 4096;
std::atomic<Socket*> sockets[kMost];
struct Mapping {
  void* at;
  Socket* of;
};
Mapping mappings[kMost];
std::atomic<int> mapping_count{0};
std::mutex& mappings_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

Socket* socket_of(int fd) { return fd >= 0 && fd < kMost ? sockets[fd].load(std::memory_order_acquire) : nullptr; }

void let_go(Socket* one) {
  if (one->references.fetch_sub(1) == 1) delete one;
}

}  // namespace
}  // namespace ringtap::standin

using namespace ringtap::standin;

#define RINGTAP_INSTEAD extern "C" __attribute__((visibility("default")))

RINGTAP_INSTEAD int socket(int domain, int type, int protocol) noexcept {
  if (domain != kFamily) return real_socket(domain, type, protocol);
  if (asked_for("socket")) return failed(static_cast<int>(*asked_for("socket")));
  if ((type & 0xf) != SOCK_RAW) return failed(ESOCKTNOSUPPORT);
  if (protocol != htons(ETH_P_ALL)) return failed(EPROTONOSUPPORT);
  auto* made = new (std::nothrow) Socket;
  if (made == nullptr) return failed(ENOMEM);
  const int fd = made->open((type & SOCK_CLOEXEC) != 0);
  if (fd < 0 || fd >= kMost) {
    const int err = errno;
    delete made;
    return failed(fd < 0 ? err : EMFILE);
  }
  sockets[fd].store(made, std::memory_order_release);
  return fd;
}

RINGTAP_INSTEAD int access(const char* path, int mode) noexcept {
  if (std::strcmp(path, "/proc/net/pf_ring/info") != 0) {
    return static_cast<int>(syscall(SYS_faccessat, AT_FDCWD, path, mode));
  }
  return asked_for("socket") == EAFNOSUPPORT ? failed(ENOENT) : 0;
}

RINGTAP_INSTEAD int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  if (Socket* ours = socket_of(fd)) return ours->bind(address, length);
  return static_cast<int>(syscall(SYS_bind, fd, address, length));
}

RINGTAP_INSTEAD int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
  if (Socket* ours = socket_of(fd)) return ours->set(level, name, value, length);
  return real_setsockopt(fd, level, name, value, length);
}

RINGTAP_INSTEAD int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  if (Socket* ours = socket_of(fd)) return ours->get(level, name, value, length);
  return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, length));
}

RINGTAP_INSTEAD ssize_t sendto(int fd, const void* bytes, size_t count, int flags, const sockaddr* to,
                               socklen_t length) {
  if (Socket* ours = socket_of(fd)) return ours->send(bytes, count, to, length);
  return syscall(SYS_sendto, fd, bytes, count, flags, to, length);
}

RINGTAP_INSTEAD void* mmap(void* at, size_t bytes, int rights, int flags, int fd, off_t offset) noexcept {
  Socket* ours = socket_of(fd);
  if (ours == nullptr) return real_mmap(at, bytes, rights, flags, fd, offset);
  const std::scoped_lock lock(mappings_mutex());
  void* mapped = ours->map(bytes);
  for (Mapping& mapping : mappings) {
    if (mapped == MAP_FAILED || mapping.at != nullptr) continue;
    mapping = {mapped, ours};
    mapping_count++;
    break;
  }
  return mapped;
}

RINGTAP_INSTEAD void* mmap64(void* at, size_t bytes, int rights, int flags, int fd, off64_t offset) noexcept {
  return mmap(at, bytes, rights, flags, fd, offset);
}

RINGTAP_INSTEAD int munmap(void* at, size_t bytes) noexcept {
  Socket* ours = nullptr;
  if (mapping_count.load(std::memory_order_acquire) > 0) {
    const std::scoped_lock lock(mappings_mutex());
    for (Mapping& mapping : mappings) {
      if (mapping.at != at || at == nullptr) continue;
      ours = mapping.of;
      mapping = {};
      mapping_count--;
      break;
    }
  }
  const auto result = static_cast<int>(syscall(SYS_munmap, at, bytes));
  if (ours != nullptr) let_go(ours);
  return result;
}

RINGTAP_INSTEAD int close(int fd) {
  Socket* ours = fd >= 0 && fd < kMost ? sockets[fd].exchange(nullptr) : nullptr;
  const int result = real_close(fd);
  if (ours != nullptr) let_go(ours);
  return result;
}
