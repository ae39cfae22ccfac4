// pfring: PF_RING, through the kernel module's own ring or through libpfring.
#pragma once

#include <memory>
#include <vector>

#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_pfring(const OpenRequest& request);
Probe probe_pfring();
std::vector<Device> devices_pfring();

}  // namespace ringtap
