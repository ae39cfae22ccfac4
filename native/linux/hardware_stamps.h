// Time stamps by the NIC.
#pragma once

#include <string>

namespace ringtap {

/// Asks a NIC, by the kernel's own name for it, to stamp every frame that it receives. It goes on doing so: others may
/// rely on it. Returns errno, 0 on success.
int enable_hardware_stamps(const std::string& interface) noexcept;

}  // namespace ringtap
