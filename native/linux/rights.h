// Which rights this process has, and how it could get those that it lacks: that depends on where it runs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/error.h"

namespace ringtap {

/// Numbers of <linux/capability.h>, some of which older headers lack.
enum class Capability : uint8_t { kNetAdmin = 12, kNetRaw = 13, kSysAdmin = 21, kPerfmon = 38, kBpf = 39 };

using Capabilities = std::initializer_list<Capability>;

/// What decides which advice helps.
struct Surroundings {
  uint64_t effective = 0;       // capabilities, a bit for each
  uint64_t bounding = 0;        // those that this process and what it starts can ever have
  bool root = false;            // by its number, which gives no rights by itself
  bool container = false;       // docker, podman, Kubernetes, LXC …
  bool service = false;         // started by systemd
  bool no_new_privs = false;    // sudo and file capabilities give nothing
  bool seccomp = false;         // some system calls are refused
  bool user_namespace = false;  // its rights count in a namespace of its own

  bool has(Capability capability) const noexcept { return (effective >> static_cast<unsigned>(capability) & 1) != 0; }
};

/// Of this thread, now. What cannot be read is taken for absent, but for the bounding set: for full.
Surroundings surroundings();

bool has_capability(Capability capability);

/// Those of `needed` that the process lacks: "CAP_NET_RAW and CAP_BPF". CAP_SYS_ADMIN stands in for CAP_BPF.
std::string missing_of(const Surroundings& around, Capabilities needed);

/// How a process in such surroundings comes by `needed`, which it was refused; `grant` is what is worth granting with
/// it.
std::string how_to_grant(const Surroundings& around, Capabilities needed, Capabilities grant);

/// The kernel refused `what`, which needs `needed`, with EPERM or EACCES: NO_PERMISSION that says what is missing, or
/// that nothing is, and how to mend it.
Error right_refused(const std::string& what, Capabilities needed, Capabilities grant, const char* syscall, int err);

}  // namespace ringtap
