// The parameters of drivers. A URI is text from anywhere, and DPDK's drivers take parameters that run programs
// (net_failsafe), load objects (net_af_xdp), overwrite files (net_pcap) or read a pointer (net_ring): so only what
// stands in the tables here reaches them.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace ringtap::dpdk {

/// Text from outside as a message shows it: not too long, and nothing that a terminal obeys.
std::string shown(std::string_view text);

/// What is asked of a driver, as key=value,key=value.
struct Devargs {
  std::string text = {};    // by the URI or the option devargs
  std::string unsafe = {};  // by the option unsafeDevargs, which no URI can set: files to write, sockets
};

/// All parameters of the virtual device `name` (net_pcap0), as DPDK takes them. RINGTAP_BAD_OPTION for a driver, a
/// parameter or a value that is not known to be harmless.
Result<std::string> virtual_devargs(const std::string& uri, const std::string& name, const Devargs& devargs);

/// The same for a PCI network card, whatever its driver.
Result<std::string> nic_devargs(const std::string& uri, const Devargs& devargs);

}  // namespace ringtap::dpdk
