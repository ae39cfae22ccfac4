// Names and numbers of network interfaces, asked for with a descriptor that is there.
//
// WHY not if_nametoindex(): it opens one of its own. Out of descriptors it answers that there is no such interface.
#pragma once

#include <net/if.h>

#include <string>

namespace ringtap {

/// The loopback interface's number, in every network namespace: the kernel insists.
inline constexpr unsigned kLoopbackIndex = 1;

/// The number of an interface, by its name or an alternative one; 0 and errno if there is none. `fd` is any socket but
/// an AF_XDP one.
int interface_index(int fd, const std::string& name) noexcept;

/// The kernel's own name of an interface; false and errno, ENODEV where it is gone.
bool interface_name(int fd, int index, char (&name)[IF_NAMESIZE]) noexcept;

/// Is the interface gone? Not if that cannot be asked.
bool is_gone(int fd, int index) noexcept;

}  // namespace ringtap
