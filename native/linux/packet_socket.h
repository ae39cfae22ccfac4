// Packet sockets: opened, filtered, bound, asked. What only sets something returns errno, 0 on success.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/program.h"
#include "core/unique_fd.h"

namespace ringtap {

/// Of SOCK_RAW or SOCK_DGRAM, non-blocking. Nothing arrives before it is bound. Empty and errno where it is refused.
UniqueFd open_packet_socket(int type) noexcept;

/// NO_PERMISSION: `what`, a packet socket or what stands on one, was refused.
Error packet_right_refused(const std::string& what, const char* syscall, int err);

/// Why this process may open none; 0 if it may.
int packet_socket_refused() noexcept;

/// Of any socket: AF_PACKET and the like; -1 for what is none.
int socket_domain(int fd) noexcept;

/// `interface` 0 is every one.
int bind_packet_socket(int fd, int interface, uint16_t protocol) noexcept;

template <class T>
int set_packet_option(int fd, int name, const T& value) noexcept {
  return setsockopt(fd, SOL_PACKET, name, &value, sizeof value) == 0 ? 0 : errno;
}

/// Installs a kernel program in place of the one before. `level` is where the socket's family looks for it.
int attach_filter(int fd, const Program& program, int level = SOL_SOCKET) noexcept;
/// Installs one that rejects every packet.
int reject_all(int fd) noexcept;

struct PacketCounts {
  uint32_t packets = 0;  // that passed the filter, with those that were dropped
  uint32_t drops = 0;    // for want of room
};
/// What the kernel has counted since it was asked last. Nothing if it does not say.
std::optional<PacketCounts> take_packet_counts(int fd) noexcept;

/// The interface that a packet socket is bound to: 0 is every one, and negative what was removed.
int bound_interface(int fd) noexcept;

/// The socket's pending error, which is taken: ENETDOWN once its interface has gone down, or away.
int take_socket_error(int fd) noexcept;
/// After ENETDOWN: was the interface that the socket is bound to removed?
bool lost_interface(int fd) noexcept;

}  // namespace ringtap
