#include "linux/rights.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "core/text.h"

namespace ringtap {
namespace {

constexpr const char* kNode = "\"$(readlink -f \"$(command -v node)\")\"";

const char* name_of(Capability capability) {
  switch (capability) {
    case Capability::kNetAdmin:
      return "NET_ADMIN";
    case Capability::kNetRaw:
      return "NET_RAW";
    case Capability::kSysAdmin:
      return "SYS_ADMIN";
    case Capability::kPerfmon:
      return "PERFMON";
    case Capability::kBpf:
      return "BPF";
  }
  return "?";
}

/// "CAP_NET_RAW CAP_BPF", or with other words before and between.
std::string list(Capabilities capabilities, const char* before, const char* between) {
  std::string text;
  for (const Capability capability : capabilities) {
    if (!text.empty()) text += between;
    text += std::string(before) + name_of(capability);
  }
  return text;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return text;
}

bool exists(const char* path) { return access(path, F_OK) == 0; }

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool in_container(const std::string& cgroup) {
  if (exists("/.dockerenv") || exists("/run/.containerenv") || exists("/run/systemd/container")) return true;
  if (std::getenv("KUBERNETES_SERVICE_HOST") != nullptr || std::getenv("container") != nullptr) return true;
  constexpr std::array<std::string_view, 6> kNames = {"docker", "kubepods", "containerd", "libpod", "crio", "/lxc"};
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view name) { return contains(cgroup, name); });
}

/// A line of /proc/self/cgroup ends in a unit's name, which is no user's session.
bool in_service(const std::string& cgroup) { return contains(cgroup, ".service\n") && !contains(cgroup, "/user@"); }

bool in_user_namespace() {
  const std::string map = content_of("/proc/self/uid_map");
  return !map.empty() && !contains(map, "4294967295");
}

bool lacks(const Surroundings& around, Capability capability) {
  const bool stood_in = capability == Capability::kBpf && around.has(Capability::kSysAdmin);
  return !around.has(capability) && !stood_in;
}

uint64_t effective_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return uint64_t{data[1].effective} << 32 | data[0].effective;
}

/// Nothing is missing, and yet it was refused.
std::string how_to_allow(const Surroundings& around, Capabilities needed) {
  const std::string has = "The process has " + list(needed, "CAP_", " and ");
  if (around.user_namespace) {
    return has +
           ", but in a user namespace only, and what it asks for belongs to another one: run it as root of the host, "
           "or, for interfaces of its own, in a network namespace made with it (unshare -r -n).";
  }
  if (around.service) {
    return has +
           ": its unit refuses the call. Look at SystemCallFilter= and RestrictAddressFamilies= (which has to name "
           "AF_PACKET, AF_NETLINK and AF_XDP), and at SELinux or AppArmor.";
  }
  if (around.container) {
    return has +
           ": a policy of the container refuses the call (seccomp, AppArmor, SELinux). docker run --security-opt "
           "seccomp=unconfined shows whether it is the profile.";
  }
  if (around.seccomp) return has + ": a seccomp filter refuses the call. Run it outside of the sandbox that set it.";
  return has + ": a security module or kernel lockdown refuses the call (SELinux, AppArmor). See dmesg | tail.";
}

}  // namespace

Surroundings surroundings() {
  Surroundings around;
  around.effective = effective_capabilities();
  for (unsigned bit = 0; bit < 64; bit++) {
    if (prctl(PR_CAPBSET_READ, bit, 0, 0, 0) != 0) around.bounding |= uint64_t{1} << bit;
  }
  const std::string cgroup = content_of("/proc/self/cgroup");
  around.root = geteuid() == 0;
  around.container = in_container(cgroup);
  around.service = in_service(cgroup);
  around.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  around.seccomp = contains(content_of("/proc/self/status"), "\nSeccomp:\t2");
  around.user_namespace = in_user_namespace();
  return around;
}

bool has_capability(Capability capability) {
  return Surroundings{.effective = effective_capabilities()}.has(capability);
}

std::string missing_of(const Surroundings& around, Capabilities needed) {
  std::string names;
  for (const Capability capability : needed) {
    if (lacks(around, capability)) names += (names.empty() ? "CAP_" : " and CAP_") + std::string(name_of(capability));
  }
  return names;
}

std::string how_to_grant(const Surroundings& around, Capabilities needed, Capabilities grant) {
  const std::string missing = missing_of(around, needed);
  if (missing.empty()) return how_to_allow(around, needed);
  const bool out_of_reach = std::any_of(needed.begin(), needed.end(), [&](Capability capability) {
    return lacks(around, capability) && (around.bounding >> static_cast<unsigned>(capability) & 1) == 0;
  });
  const std::string names = list(grant, "CAP_", " ");
  if (out_of_reach && around.container) {
    return "The container lacks " + missing + ": docker run " + list(grant, "--cap-add ", " ") +
           " (podman: the same); Kubernetes: securityContext.capabilities.add: [" + list(grant, "", ", ") + "]" +
           (around.root ? "." : "; and run it as the container's root (--user 0).");
  }
  if (around.service) {
    return "In its unit: AmbientCapabilities=" + names +
           (out_of_reach ? ", and the same in CapabilityBoundingSet=" : "") +
           "; then systemctl daemon-reload, and restart it.";
  }
  if (out_of_reach) {
    return "Nothing that is started from here can have " + missing +
           " (its bounding set is without it: a sandbox, setpriv, systemd's CapabilityBoundingSet=): start it outside.";
  }
  if (around.no_new_privs && !around.root) {
    return "The process may gain no rights (no_new_privs), so that sudo and setcap give none: start it without that "
           "(docker: no --security-opt no-new-privileges), or with the rights (systemd: AmbientCapabilities=" +
           names + ").";
  }
  return std::string("Run as root") + (around.container ? " of the container (docker run --user 0)" : "") +
         ", or grant the capabilit" + (grant.size() == 1 ? "y" : "ies") + ": sudo setcap " +
         lower(list(grant, "cap_", ",")) + "+ep " + kNode;
}

Error right_refused(const std::string& what, Capabilities needed, Capabilities grant, const char* syscall, int err) {
  const Surroundings around = surroundings();
  const std::string missing = missing_of(around, needed);
  Error error =
      system_error(Code::kNoPermission,
                   what + (missing.empty() ? " is refused, though the process has " + list(needed, "CAP_", " and ")
                                           : " needs " + missing),
                   syscall, err);
  error.hint = how_to_grant(around, needed, grant);
  return error;
}

}  // namespace ringtap
