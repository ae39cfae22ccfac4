#include "backends/afxdp/xsk.h"

#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "backends/afxdp/bpf.h"
#include "core/text.h"

namespace ringtap::afxdp {

namespace {

constexpr auto kReleaseTime = std::chrono::seconds(2);
constexpr auto kLongestReleaseTime = std::chrono::seconds(30);

template <class T>
int set_option(int fd, int name, const T& value) {
  return setsockopt(fd, SOL_XDP, name, &value, sizeof value) == 0 ? 0 : errno;
}

template <class T>
int map_ring(int fd, uint64_t page_offset, const xdp_ring_offset& offset, uint32_t entries, Ring<T>& out) {
  const size_t bytes = offset.desc + size_t{entries} * sizeof(T);
  auto map = Region::map(bytes, MAP_SHARED | MAP_POPULATE, fd, static_cast<int64_t>(page_offset));
  if (!map) return map.error().err;
  out = Ring<T>(*std::move(map), offset, entries);
  return 0;
}

/// The queues that this process has, or wants, sockets for.
std::mutex claims_lock;
std::multiset<std::pair<int, uint32_t>> claims;

std::shared_ptr<void> claim(int ifindex, uint32_t queue) {
  const std::scoped_lock lock(claims_lock);
  return {nullptr, [at = claims.emplace(ifindex, queue)](void*) {
            const std::scoped_lock erasing(claims_lock);
            claims.erase(at);
          }};
}

}  // namespace

Result<Xsk> Xsk::create(const Umem& umem, const XskRequest& request, const std::string& uri) {
  const auto failed = [&](const char* what, const char* call, int err) {
    return system_error(err == ENOBUFS || err == ENOMEM ? Code::kNoMemory : Code::kSystem, uri + ": " + what, call,
                        err);
  };
  Xsk xsk;
  xsk.request_ = request;
  xsk.claim_ = claim(request.ifindex, request.queue);
  xsk.fd_.reset(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!xsk.fd_) {
    const int err = errno;
    if (err == EPERM || err == EACCES) {
      return rights_error(uri + ": AF_XDP", "socket", err);
    }
    const bool missing = err == EAFNOSUPPORT || err == EPROTONOSUPPORT || err == ESOCKTNOSUPPORT;
    return system_error(missing ? Code::kBackendMissing : Code::kSystem, uri + ": the kernel has no AF_XDP", "socket",
                        err);
  }
  const int fd = xsk.fd_.get();
  if (request.shared_with < 0) {
    xdp_umem_reg reg{};
    reg.addr = reinterpret_cast<uint64_t>(umem.region->base());  // SAFETY: an address for the kernel
    reg.len = uint64_t{umem.frames} * umem.frame_bytes;
    reg.chunk_size = umem.frame_bytes;
    if (const int err = set_option(fd, XDP_UMEM_REG, reg); err != 0)
      return failed("cannot register packet memory", "setsockopt(XDP_UMEM_REG)", err);
  }
  if (request.fill_entries != 0) {
    if (const int err = set_option(fd, XDP_UMEM_FILL_RING, request.fill_entries); err != 0)
      return failed("fill ring", "setsockopt(XDP_UMEM_FILL_RING)", err);
    if (const int err = set_option(fd, XDP_UMEM_COMPLETION_RING, request.completion_entries); err != 0)
      return failed("completion ring", "setsockopt(XDP_UMEM_COMPLETION_RING)", err);
  }
  if (request.rx_entries != 0) {
    if (const int err = set_option(fd, XDP_RX_RING, request.rx_entries); err != 0)
      return failed("RX ring", "setsockopt(XDP_RX_RING)", err);
  }
  if (request.tx_entries != 0) {
    if (const int err = set_option(fd, XDP_TX_RING, request.tx_entries); err != 0)
      return failed("TX ring", "setsockopt(XDP_TX_RING)", err);
  }
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0)
    return failed("ring layout", "getsockopt(XDP_MMAP_OFFSETS)", errno);
  int err = 0;
  if (request.rx_entries != 0) err = map_ring(fd, XDP_PGOFF_RX_RING, offsets.rx, request.rx_entries, xsk.rx);
  if (err == 0 && request.fill_entries != 0) {
    err = map_ring(fd, XDP_UMEM_PGOFF_FILL_RING, offsets.fr, request.fill_entries, xsk.fill);
    if (err == 0)
      err = map_ring(fd, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, request.completion_entries, xsk.completion);
  }
  if (err == 0 && request.tx_entries != 0)
    err = map_ring(fd, XDP_PGOFF_TX_RING, offsets.tx, request.tx_entries, xsk.tx);
  if (err != 0) return failed("cannot map a ring", "mmap", err);
  return xsk;
}

int Xsk::bind(uint16_t flags) const {
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = static_cast<uint32_t>(request_.ifindex);
  address.sxdp_queue_id = request_.queue;
  address.sxdp_flags = flags;
  if (request_.shared_with >= 0) {
    // The first socket's flags hold for all.
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = static_cast<uint32_t>(request_.shared_with);
  }
  // SAFETY: bind() takes every address family through sockaddr.
  return ::bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

// WHY: the kernel lets go of a queue some time after its socket was closed, on a starved machine after seconds.
// Somebody who stays is somebody else, if there can be anybody else.
int Xsk::bind_patiently(uint16_t flags, const std::function<bool()>& is_given_up) const {
  const auto begin = std::chrono::steady_clock::now();
  for (int err = bind(flags);; err = bind(flags)) {
    const auto waited = std::chrono::steady_clock::now() - begin;
    if (err != EBUSY || waited > kLongestReleaseTime) return err;
    if (waited > kReleaseTime && !is_without_rival()) return err;
    if (is_given_up()) return ECANCELED;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool Xsk::is_without_rival() const {
  const auto living = living_sockets();
  const std::scoped_lock lock(claims_lock);
  return living && *living <= claims.size() && claims.count({interface(), queue()}) == 1;
}

bool Xsk::zero_copy() const {
  xdp_options options{};
  socklen_t length = sizeof options;
  return getsockopt(fd(), SOL_XDP, XDP_OPTIONS, &options, &length) == 0 && (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

xdp_statistics Xsk::statistics() const {
  xdp_statistics now{};
  socklen_t length = sizeof now;
  if (getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &now, &length) != 0) return {};
  return now;
}

void Xsk::kick_rx() const { recvfrom(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr); }

int Xsk::kick_tx() const { return sendto(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0 ? 0 : errno; }

std::optional<uint32_t> living_sockets() {
  for (const std::string& line : lines_of(content_of("/proc/thread-self/net/protocols"))) {
    uint32_t sockets = 0;
    if (std::sscanf(line.c_str(), "XDP %*u %" SCNu32, &sockets) == 1) return sockets;  // name, bytes, sockets
  }
  return std::nullopt;
}

}  // namespace ringtap::afxdp
