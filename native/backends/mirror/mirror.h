// mirror: packets that switches and clouds send here in tunnels, received at a socket.
#pragma once

#include <memory>
#include <vector>

#include "core/error.h"
#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_mirror(const OpenRequest& request);
Probe probe_mirror();
std::vector<Device> devices_mirror();

}  // namespace ringtap
