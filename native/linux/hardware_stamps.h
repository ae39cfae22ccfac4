// Time stamps by the NIC.
#pragma once

#include <span>
#include <string>

#include "core/source.h"

namespace ringtap {

/// Asks a NIC, by the kernel's own name for it, to stamp every frame that it receives. It goes on doing so: others may
/// rely on it. Returns errno, 0 on success.
int enable_hardware_stamps(const std::string& interface) noexcept;

/// Lets the NICs of a capture stamp packets, where `timestamp` asks for that; not where it is only explained. `info`
/// says which clock it is, and why. Answers whether the NICs stamp. `target` is what the user calls them.
bool choose_hardware_stamps(std::span<const std::string> interfaces, const std::string& target, Purpose purpose,
                            SourceInfo& info);

}  // namespace ringtap
