#include "backends/pcap/packet_socket.h"

#if defined(__linux__)

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

#include "linux/interface.h"
#include "linux/packet_socket.h"

namespace ringtap::pcap {

std::optional<PacketSocket> PacketSocket::of(int fd) noexcept {
  if (socket_domain(fd) != AF_PACKET) return std::nullopt;
  return PacketSocket(fd);
}

Result<Ok> PacketSocket::attach(const Program& program) const {
  if (const int err = attach_filter(fd_, program); err != 0) {
    return system_error(Code::kSystem, "the kernel refused the filter", "setsockopt(SO_ATTACH_FILTER)", err);
  }
  return Ok{};
}

Result<Ok> PacketSocket::listen() const {
  const int err = bind_packet_socket(fd_, bound_interface(fd_), ETH_P_ALL);
  if (err == 0) return Ok{};
  const Code code = err == ENETDOWN ? Code::kInterfaceDown : err == ENODEV ? Code::kInterfaceGone : Code::kSystem;
  return system_error(code, "cannot start to receive", "bind", err);
}

bool PacketSocket::went_down() const noexcept { return take_socket_error(fd_) == ENETDOWN; }

bool PacketSocket::is_gone() const noexcept { return lost_interface(fd_); }

uint32_t loopback_index() noexcept { return kLoopbackIndex; }

uint32_t index_of(const std::string& name) noexcept {
  return static_cast<uint32_t>(interface_index(query_socket().get(), name));
}

std::optional<Error> capture_refused() {
  const int err = packet_socket_refused();
  if (err != EPERM && err != EACCES) return std::nullopt;
  return packet_right_refused("libpcap", "socket", err);
}

}  // namespace ringtap::pcap

#else

namespace ringtap::pcap {

std::optional<PacketSocket> PacketSocket::of(int) noexcept { return std::nullopt; }
Result<Ok> PacketSocket::attach(const Program&) const {
  return Error{.message = "not Linux", .hint = {}, .syscall = {}};
}
Result<Ok> PacketSocket::listen() const { return Error{.message = "not Linux", .hint = {}, .syscall = {}}; }
bool PacketSocket::went_down() const noexcept { return false; }
bool PacketSocket::is_gone() const noexcept { return false; }
uint32_t loopback_index() noexcept { return 0; }
uint32_t index_of(const std::string&) noexcept { return 0; }
std::optional<Error> capture_refused() { return std::nullopt; }

}  // namespace ringtap::pcap

#endif
