#pragma once

#include "core/source.h"

namespace ringtap {

Probe probe_dpdk();
Result<std::unique_ptr<Source>> open_dpdk(const OpenRequest& request);
std::vector<Device> devices_dpdk();

}  // namespace ringtap
