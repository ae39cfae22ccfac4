#include "backends/pcap/packet_socket.h"

#if defined(__linux__)

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/unique_fd.h"
#include "linux/interface.h"

namespace ringtap {
namespace {

int option(int fd, int name) noexcept {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : 0;
}

sockaddr_ll bound_to(int fd) noexcept {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  // SAFETY: sockaddr_ll is the address type of AF_PACKET sockets.
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return address;
}

}  // namespace

std::optional<PacketSocket> PacketSocket::of(int fd) noexcept {
  if (fd < 0 || option(fd, SO_DOMAIN) != AF_PACKET) return std::nullopt;
  return PacketSocket(fd);
}

Result<Ok> PacketSocket::attach(const Program& program) const {
  static_assert(sizeof(sock_filter) == sizeof(BpfInsn));
  if (program.size() > BPF_MAXINSNS) {
    return system_error(Code::kSystem, "filter program of " + std::to_string(program.size()) + " instructions",
                        "setsockopt(SO_ATTACH_FILTER)", EINVAL);
  }
  sock_fprog kernel{};
  kernel.len = static_cast<unsigned short>(program.size());
  // SAFETY: BpfInsn has the layout of sock_filter; the kernel copies the program and writes nothing.
  kernel.filter = reinterpret_cast<sock_filter*>(const_cast<BpfInsn*>(program.data()));
  if (setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &kernel, sizeof kernel) != 0) {
    return system_error(Code::kSystem, "the kernel refused the filter", "setsockopt(SO_ATTACH_FILTER)", errno);
  }
  return Ok{};
}

Result<Ok> PacketSocket::listen() const {
  sockaddr_ll address = bound_to(fd_);
  address.sll_protocol = htons(ETH_P_ALL);
  // SAFETY: as in bound_to().
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return Ok{};
  const Code code = errno == ENETDOWN ? Code::kInterfaceDown : errno == ENODEV ? Code::kInterfaceGone : Code::kSystem;
  return system_error(code, "cannot start to receive", "bind", errno);
}

bool PacketSocket::went_down() const noexcept { return option(fd_, SO_ERROR) == ENETDOWN; }

bool PacketSocket::is_gone() const noexcept {
  const auto unbound = [&] { return bound_to(fd_).sll_ifindex < 0; };
  if (unbound()) return true;
  ifreq request{};
  if (!interface_name(fd_, bound_to(fd_).sll_ifindex, request.ifr_name)) return true;
  // WHY: a removal takes the interface down first. This question has to wait for the lock under which both happen.
  ethtool_value value{.cmd = ETHTOOL_GLINK, .data = 0};
  // SAFETY: ETHTOOL_GLINK reads and writes an ethtool_value.
  request.ifr_data = reinterpret_cast<char*>(&value);
  const bool asked = ioctl(fd_, SIOCETHTOOL, &request) == 0;
  return (!asked && errno == ENODEV) || unbound();
}

uint32_t loopback_index() noexcept { return kLoopbackIndex; }
uint32_t interface_index(const std::string& name) noexcept { return if_nametoindex(name.c_str()); }

int packet_socket_refused() noexcept {
  const UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  return fd ? 0 : errno;
}

}  // namespace ringtap

#else

namespace ringtap {

std::optional<PacketSocket> PacketSocket::of(int) noexcept { return std::nullopt; }
Result<Ok> PacketSocket::attach(const Program&) const {
  return Error{.message = "not Linux", .hint = {}, .syscall = {}};
}
Result<Ok> PacketSocket::listen() const { return Error{.message = "not Linux", .hint = {}, .syscall = {}}; }
bool PacketSocket::went_down() const noexcept { return false; }
bool PacketSocket::is_gone() const noexcept { return false; }
uint32_t loopback_index() noexcept { return 0; }
uint32_t interface_index(const std::string&) noexcept { return 0; }
int packet_socket_refused() noexcept { return 0; }

}  // namespace ringtap

#endif
