#include "backends/pfring/socket.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backends/pfring/ring.h"
#include "filter/prepend.h"
#include "linux/interface.h"
#include "linux/packet_socket.h"

namespace ringtap::pfring {

namespace {

constexpr size_t kPage = 4096;

template <class T>
bool set(int fd, SocketOption option, const T& value) {
  return setsockopt(fd, 0, option, &value, sizeof value) == 0;
}

UniqueFd new_socket() { return UniqueFd(socket(kFamily, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))); }

Error missing(const std::string& uri, int err) {
  if (err == EPERM || err == EACCES) {
    return packet_right_refused(uri + ": a PF_RING socket", "socket", err);
  }
  if (err != EAFNOSUPPORT && err != EPROTONOSUPPORT && err != ESOCKTNOSUPPORT) {
    return system_error(Code::kSystem, uri + ": PF_RING gives no socket", "socket", err);
  }
  Error error = system_error(Code::kBackendMissing, uri + ": the kernel module pf_ring is not loaded", "socket", err);
  error.hint =
      "Load it: sudo modprobe pf_ring. Packages and sources: https://packages.ntop.org and github.com/ntop/PF_RING.";
  return error;
}

/// The module's own number of an interface; "any" has one, too.
Result<int> interface_number(int fd, const std::string& name, const std::string& uri) {
  char request[kInterfaceNameBytes] = {};
  name.copy(request, sizeof request - 1);
  socklen_t length = sizeof request;
  if (getsockopt(fd, 0, kGetInterface, request, &length) == 0) {
    int number = 0;
    std::memcpy(&number, request, sizeof number);
    return number;
  }
  const int err = errno;
  const UniqueFd query = query_socket();
  if (!query) return system_error(Code::kSystem, uri + ": cannot ask for interfaces", "socket", errno);
  if (name == "any" || (interface_index(query.get(), name) == 0 && errno == ENODEV)) {
    return system_error(Code::kNoInterface, uri + ": there is no interface \"" + name + "\"",
                        "getsockopt(SO_GET_DEVICE_IFINDEX)", err);
  }
  return system_error(Code::kUnsupported, uri + ": PF_RING does not know the interface \"" + name + "\"",
                      "getsockopt(SO_GET_DEVICE_IFINDEX)", err);
}

}  // namespace

std::optional<Error> module_missing(const std::string& uri) {
  // WHY not a socket of it: to close one takes the module 100 ms. Its file is there for as long as it is loaded.
  if (access("/proc/net/pf_ring/info", F_OK) == 0) return std::nullopt;
  if (new_socket()) return std::nullopt;
  return missing(uri, errno);
}

std::optional<Error> right_missing(const std::string& uri) {
  // WHY a packet socket: it needs the same right, and closes at once.
  if (packet_socket_refused() != EPERM) return std::nullopt;
  return missing(uri, EPERM);
}

Error RingSocket::failed(const std::string& what, const char* call) const {
  const int err = errno;
  if (err == EPERM) return packet_right_refused(uri_ + ": " + what, call, err);
  return system_error(err == ENETDOWN ? Code::kInterfaceDown : Code::kSystem, uri_ + ": " + what, call, err);
}

Result<RingSocket> RingSocket::open(const Settings& settings, uint32_t caplen) {
  caplen = std::max(caplen, kMinCaplen);
  RingSocket made(new_socket(), settings.uri);
  if (!made.fd_) return missing(settings.uri, errno);
  // The length, the header and what is bound decide how the ring is laid out at the first mmap.
  if (!set(made.fd(), kBucketLength, caplen))
    return made.failed("cannot set the snaplen", "setsockopt(SO_RING_BUCKET_LEN)");
  if (!set(made.fd(), kShortHeader, uint8_t{0})) {
    return made.failed("cannot ask for short packet headers", "setsockopt(SO_USE_SHORT_PKT_HEADER)");
  }
  if (auto bound = made.bind(settings.target); !bound) return std::move(bound).error();
  if (auto mapped = made.map(caplen); !mapped) return std::move(mapped).error();
  if (auto done = made.set_up(settings); !done) return std::move(done).error();
  return made;
}

Result<Ok> RingSocket::bind(const Target& target) const {
  for (const std::string& name : target.names) {
    auto number = interface_number(fd(), name, uri_);
    if (!number) return std::move(number).error();
    sockaddr_ll address{};
    address.sll_family = kFamily;
    address.sll_protocol = ETH_P_ALL;
    address.sll_ifindex = *number;
    // SAFETY: bind() takes every address family through sockaddr.
    if (::bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      if (errno == EINVAL) {
        return system_error(Code::kUnsupported,
                            uri_ + ": PF_RING captures Ethernet and loopback interfaces, which \"" + name + "\" is not",
                            "bind", EINVAL);
      }
      return failed("interface \"" + name + "\"", "bind");
    }
  }
  if (target.queue) {
    // WHY: the module takes a queue that does not exist, and stays silent.
    uint8_t answer[4] = {};
    socklen_t length = sizeof answer;
    if (getsockopt(fd(), 0, kGetChannels, answer, &length) != 0) {
      return failed("cannot ask for the number of queues", "getsockopt(SO_GET_NUM_RX_CHANNELS)");
    }
    if (auto there = check_queue(target, answer[0], uri_); !there) return there;
  }
  // Also for all of them: the module then knows that several may write into the ring at once.
  if (!set(fd(), kChannelMask, target.queue ? uint64_t{1} << *target.queue : ~uint64_t{0})) {
    return failed("cannot choose the queue", "setsockopt(SO_SET_CHANNEL_ID)");
  }
  return Ok{};
}

Result<Ok> RingSocket::map(uint32_t caplen) {
  const auto mapped = [&](size_t bytes) -> Result<std::shared_ptr<Region>> {
    auto region = Region::map(bytes, MAP_SHARED, fd());
    if (region) return region;
    return system_error(Code::kNoMemory, uri_ + ": cannot map a ring of " + std::to_string(bytes) + " bytes", "mmap",
                        region.error().err);
  };
  // SAFETY: a ring begins with a RingHeader. Of it only the first page is mapped here, and only that is read.
  const auto header_of = [](const Region& region) { return reinterpret_cast<const RingHeader*>(region.base()); };

  auto first = mapped(kPage);
  if (!first) return std::move(first).error();
  if (auto good = check_header(*header_of(**first), caplen, uri_); !good) return good;
  const uint64_t bytes = header_of(**first)->total_bytes;
  first->reset();
  auto whole = mapped(bytes);
  if (!whole) return std::move(whole).error();
  const RingHeader& header = *header_of(**whole);
  if (auto good = check_header(header, caplen, uri_); !good) return good;
  if (header.total_bytes != bytes) {
    return Error{.code = Code::kRingCorrupt,
                 .message = uri_ + ": the ring had " + std::to_string(bytes) + " bytes, and now it has " +
                            std::to_string(header.total_bytes)};
  }
  region_ = *std::move(whole);

  uint16_t got = 0;
  socklen_t length = sizeof got;
  if (getsockopt(fd(), 0, kGetHeaderLength, &got, &length) != 0) {
    return failed("cannot ask for the length of packet headers", "getsockopt(SO_GET_PKT_HEADER_LEN)");
  }
  if (got != sizeof(SlotHeader)) {
    return Error{.code = Code::kRingCorrupt,
                 .message = uri_ + ": packet headers of " + std::to_string(sizeof(SlotHeader)) +
                            " bytes were asked for, and the module writes " + std::to_string(got)};
  }
  return Ok{};
}

Result<Ok> RingSocket::set_up(const Settings& settings) const {
  if (!set(fd(), kDirection, ring_direction(settings.direction))) {
    return failed("direction", "setsockopt(SO_SET_PACKET_DIRECTION)");
  }
  if (!set(fd(), kSocketMode, uint32_t{0})) return failed("socket mode", "setsockopt(SO_SET_SOCKET_MODE)");
  if (!set(fd(), kWatermark, settings.watermark)) return failed("watermark", "setsockopt(SO_SET_POLL_WATERMARK)");
  if (!settings.name.empty() &&
      setsockopt(fd(), 0, kApplicationName, settings.name.data(), static_cast<socklen_t>(settings.name.size())) != 0) {
    return failed("appName", "setsockopt(SO_SET_APPL_NAME)");
  }
  return Ok{};
}

Result<Ok> RingSocket::activate() const {
  const uint32_t on = 1;
  if (!set(fd(), kActivate, on)) return failed("cannot activate the ring", "setsockopt(SO_ACTIVATE_RING)");
  return Ok{};
}

void RingSocket::silence() const noexcept {
  if (fd_) set(fd(), kDeactivate, uint32_t{0});
}

void RingSocket::close() noexcept {
  fd_.reset();
  region_.reset();
}

KernelFilter module_filter(int fd) {
  const auto attach = [fd](const Program& program) {
    // The prefix also makes it longer than one instruction, which the module takes for no filter at all.
    // WHY level 0: at SOL_SOCKET the kernel takes the program, and the module never runs it.
    const int err = attach_filter(fd, with_vlan_prefix(program, kMaxSnaplen), 0);
    return err == 0 ? std::string() : "the module refused the program: " + std::string(std::strerror(err));
  };
  return {.attach = attach, .left = Judged::kTagged, .cuts = false};
}

int join_cluster(int fd, uint16_t cluster, uint32_t mode) {
  const AddToCluster request{.cluster = cluster, .queue = kAnyClusterQueue, .options = 0, .mode = mode};
  return set(fd, kAddToCluster, request) ? 0 : errno;
}

}  // namespace ringtap::pfring
