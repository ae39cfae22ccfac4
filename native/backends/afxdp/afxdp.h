// afxdp: packets that an XDP program redirects into our memory, before the host's stack sees them.
#pragma once

#include <memory>
#include <vector>

#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_afxdp(const OpenRequest& request);
Probe probe_afxdp();
std::vector<Device> devices_afxdp();

}  // namespace ringtap
