#include "backends/pcap/target.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#if defined(__linux__)
#include "linux/interface.h"
#elif !defined(_WIN32)
#include <net/if.h>
#endif

namespace ringtap::pcap {
namespace {

Error no_interface(const std::string& name, const std::string& uri) {
  Error error{.code = Code::kNoInterface, .message = uri + ": there is no interface \"" + name + "\""};
  // libpcap would open it, and then decide what becomes of the host's packets.
  if (name.starts_with("nfqueue")) {
    error.hint =
        "A queue of the firewall is not captured: who reads it decides about its packets. Let a rule log copies (nft: "
        "log group 5) and open pcap:nflog:5.";
  }
  return error;
}

#ifndef _WIN32

/// Devices of the kernel that are no network interface: usbmon1, bluetooth0, nflog, nflog:5 …
bool is_kernel_device(std::string_view name) {
  if (name == "any" || name == "bluetooth-monitor" || name == "nflog") return true;
  constexpr std::array<std::string_view, 5> kNumbered = {"usbmon", "bluetooth", "nflog:", "pktap", "iptap"};
  return std::any_of(kNumbered.begin(), kNumbered.end(), [name](std::string_view prefix) {
    const std::string_view number = name.substr(std::min(name.size(), prefix.size()));
    return name.starts_with(prefix) && !number.empty() && number.size() <= 5 &&
           number.find_first_not_of("0123456789") == std::string_view::npos;
  });
}

#endif

}  // namespace

#if defined(_WIN32)

bool is_capture_device(const std::string& name) { return name.starts_with("\\Device\\NPF_"); }

std::optional<Error> refused_target(const std::string& name, const std::string& uri) {
  return is_capture_device(name) ? std::nullopt : std::optional(no_interface(name, uri));
}

#else

bool is_capture_device(const std::string& name) { return !refused_target(name, name); }

std::optional<Error> refused_target(const std::string& name, const std::string& uri) {
  if (is_kernel_device(name)) return std::nullopt;
  // libpcap looks at the beginning of a name first: an interface that is called so is not what it would open.
  if (name.find_first_of("/:") != std::string::npos || name.starts_with("dbus-")) return no_interface(name, uri);
#if defined(__linux__)
  const UniqueFd fd = query_socket();
  if (!fd) return system_error(Code::kSystem, uri + ": the interface cannot be asked for", "socket", errno);
  if (interface_index(fd.get(), name) != 0) return std::nullopt;
  if (errno != ENODEV) return system_error(Code::kSystem, uri + ": the interface cannot be asked for", "ioctl", errno);
#else
  if (if_nametoindex(name.c_str()) != 0) return std::nullopt;
#endif
  return no_interface(name, uri);
}

#endif

}  // namespace ringtap::pcap
