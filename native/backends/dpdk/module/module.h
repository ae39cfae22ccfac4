// What ringtap_dpdk.so does for the addon.
#pragma once

#include "backends/dpdk/module.h"

namespace ringtap::dpdk {

Probe probe_ports();
Result<std::unique_ptr<Source>> open_port(const OpenRequest& request);
/// NICs that are bound to a DPDK driver. Starts nothing.
std::vector<Device> list_ports();

}  // namespace ringtap::dpdk
