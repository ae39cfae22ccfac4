// Names, numbers and properties of network interfaces, asked for with a descriptor that is there.
//
// WHY not if_nametoindex(): it opens one of its own. Out of descriptors it answers that there is no such interface.
#pragma once

#include <net/if.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap {

/// The loopback interface's number, in every network namespace: the kernel insists.
inline constexpr unsigned kLoopbackIndex = 1;

/// What the kernel says about an interface.
struct Interface {
  int index = 0;
  std::string name;  // the kernel's own, where an alternative one was given
  int hardware = 0;  // an ARPHRD_ value
  uint32_t mtu = 0;
  bool up = false;
  bool loopback = false;
};

enum class LinkState : uint8_t { kUp, kDown, kGone };

/// A socket to ask with. Empty and errno where there is none to be had.
UniqueFd query_socket() noexcept;

/// `fd` is any socket but an AF_XDP one. `uri` is for messages. Errors: NO_INTERFACE, SYSTEM.
Result<Interface> query_interface(int fd, const std::string& name, const std::string& uri);

/// The number of an interface, by its name or an alternative one; 0 and errno if there is none. `fd` is any socket but
/// an AF_XDP one.
int interface_index(int fd, const std::string& name) noexcept;

/// The kernel's own name of an interface; false and errno, ENODEV where it is gone.
bool interface_name(int fd, int index, char (&name)[IF_NAMESIZE]) noexcept;

/// Is the interface gone? Not if that cannot be asked.
bool is_gone(int fd, int index) noexcept;

LinkState link_state(int fd, int index) noexcept;

/// An Ethernet interface that is up, for who sends. `fd` as above. Errors: NO_INTERFACE,
/// UNSUPPORTED: it is none; INTERFACE_DOWN.
Result<Interface> query_ethernet(int fd, const std::string& name, const std::string& uri);
/// Its address. Errors: SYSTEM.
Result<std::array<std::byte, 6>> hardware_address(int fd, const Interface& interface);
/// Whether it is up and has a carrier; asks for its MTU, too.
bool is_running(int fd, Interface& interface) noexcept;

/// An ioctl's request about the interface of this name: the kernel's own one.
ifreq request_for(const std::string& name) noexcept;

}  // namespace ringtap
