// synth: a seeded source of packets, with faults on request. Needs nothing from the host.
#pragma once

#include <memory>
#include <vector>

#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_synth(const OpenRequest& request);
Probe probe_synth();
std::vector<Device> devices_synth();

}  // namespace ringtap
