#include "linux/packet_socket.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "linux/interface.h"
#include "linux/rights.h"

namespace ringtap {

namespace {

template <class T>
std::optional<T> socket_option(int fd, int level, int name) noexcept {
  T value{};
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) == 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

UniqueFd open_packet_socket(int type) noexcept {
  // Protocol 0: nothing arrives before it is bound.
  return UniqueFd(socket(AF_PACKET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

Error packet_right_refused(const std::string& what, const char* syscall, int err) {
  // CAP_NET_ADMIN is for hardware timestamps, and what else a capture may want to set.
  return right_refused(what, {Capability::kNetRaw}, {Capability::kNetRaw, Capability::kNetAdmin}, syscall, err);
}

int packet_socket_refused() noexcept { return open_packet_socket(SOCK_RAW) ? 0 : errno; }

int socket_domain(int fd) noexcept { return socket_option<int>(fd, SOL_SOCKET, SO_DOMAIN).value_or(-1); }

int bind_packet_socket(int fd, int interface, uint16_t protocol) noexcept {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = interface;
  // SAFETY: bind() takes every address family through sockaddr.
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

int attach_filter(int fd, const Program& program, int level) noexcept {
  static_assert(sizeof(sock_filter) == sizeof(BpfInsn));
  if (program.size() > BPF_MAXINSNS) return EINVAL;
  sock_fprog request{};
  request.len = static_cast<unsigned short>(program.size());
  // SAFETY: BpfInsn has the layout of sock_filter; the kernel copies the program and writes nothing.
  request.filter = reinterpret_cast<sock_filter*>(const_cast<BpfInsn*>(program.data()));
  return setsockopt(fd, level, SO_ATTACH_FILTER, &request, sizeof request) == 0 ? 0 : errno;
}

int reject_all(int fd) noexcept { return attach_filter(fd, {{.code = BPF_RET | BPF_K, .k = 0}}); }

std::optional<PacketCounts> take_packet_counts(int fd) noexcept {
  const auto now = socket_option<tpacket_stats>(fd, SOL_PACKET, PACKET_STATISTICS);
  return now ? std::optional(PacketCounts{now->tp_packets, now->tp_drops}) : std::nullopt;
}

int bound_interface(int fd) noexcept {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  // SAFETY: sockaddr_ll is the address type of AF_PACKET sockets.
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return address.sll_ifindex;
}

int take_socket_error(int fd) noexcept { return socket_option<int>(fd, SOL_SOCKET, SO_ERROR).value_or(0); }

bool lost_interface(int fd) noexcept {
  const int interface = bound_interface(fd);
  if (interface < 0) return true;
  char name[IF_NAMESIZE] = {};
  if (!interface_name(fd, interface, name)) return true;
  // WHY: a removal takes the interface down first. This question has to wait for the lock under which both happen.
  ifreq request = request_for(name);
  ethtool_value value{.cmd = ETHTOOL_GLINK, .data = 0};
  // SAFETY: ETHTOOL_GLINK reads and writes an ethtool_value.
  request.ifr_data = reinterpret_cast<char*>(&value);
  const bool asked = ioctl(fd, SIOCETHTOOL, &request) == 0;
  return (!asked && errno == ENODEV) || bound_interface(fd) < 0;
}

}  // namespace ringtap
