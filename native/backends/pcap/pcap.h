// Live capture through libpcap, loaded at run time.
#pragma once

#include <memory>
#include <vector>

#include "core/source.h"

namespace ringtap {

Probe probe_pcap();
Result<std::unique_ptr<Source>> open_pcap(const OpenRequest& request);
std::vector<Device> devices_pcap();

}  // namespace ringtap
