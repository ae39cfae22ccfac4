// An interface of the forwarder, by a packet socket that knows of offloads.
#pragma once

#include <memory>
#include <string>

#include "core/error.h"
#include "forward/nic.h"

namespace ringtap::afpacket {

/// Frames come and go with the kernel's note of what is left to be done to them (PACKET_VNET_HDR): sums that are not
/// complete yet, and segments that are not cut yet, pass through as they are. NO_INTERFACE, NO_PERMISSION,
/// INTERFACE_DOWN; UNSUPPORTED: it is no Ethernet, or the host cannot be kept from answering.
Result<std::unique_ptr<forward::Nic>> open_inline_nic(const std::string& name);

}  // namespace ringtap::afpacket
