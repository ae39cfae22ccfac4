// rpcap: packets that a daemon on another host captures.
#pragma once

#include <memory>
#include <vector>

#include "core/error.h"
#include "core/source.h"

namespace ringtap {

/// The side of it that packets arrive at. Who speaks with the daemon (lib/rpcap) adds what it was told to the options:
/// linkType, local, peer and bigEndian.
Result<std::unique_ptr<Source>> open_rpcap(const OpenRequest& request);
Probe probe_rpcap();
std::vector<Device> devices_rpcap();

}  // namespace ringtap
