// afpacket: a TPACKET_V3 ring of an AF_PACKET socket, read in place.
#pragma once

#include <memory>
#include <vector>

#include "core/sharing.h"
#include "core/source.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_afpacket(const OpenRequest& request);
/// The sockets of a fanout group, each with its ring.
Result<Shares> open_shares_afpacket(const OpenRequest& request, const Sharing& sharing);
Probe probe_afpacket();
std::vector<Device> devices_afpacket();

}  // namespace ringtap
