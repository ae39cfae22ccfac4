// @name@: what it captures from, in one sentence.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_@name@(const OpenRequest& request);
Probe probe_@name@();
std::vector<Device> devices_@name@();

namespace @name@ {

inline constexpr uint32_t kFrameBytes = 64;

/// Ethernet, IPv4 and UDP around a packet's number. `out` has kFrameBytes.
void write_frame(std::byte* out, uint64_t number) noexcept;

}  // namespace @name@

}  // namespace ringtap
