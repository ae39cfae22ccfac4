// What libpcap may be asked to open.
#pragma once

#include <optional>
#include <string>

#include "core/error.h"

namespace ringtap::pcap {

/// Can libpcap be given this name? WHY a list: it knows more than network interfaces, and opening some of it starts a
/// program (dbus-session: dbus-launch, whichever comes first in PATH), starts DPDK, or loads a driver.
bool is_capture_device(const std::string& name);

/// Why not, or nothing. Asks the kernel for the interface. `uri` is for messages.
std::optional<Error> refused_target(const std::string& name, const std::string& uri);

}  // namespace ringtap::pcap
