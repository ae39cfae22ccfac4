// Interfaces of a forwarder, by AF_XDP.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "forward/nic.h"

namespace ringtap::afxdp {

/// All interfaces of a forwarder, in their order. They share one memory: what came in on one goes out on another
/// without a copy. An XDP program on each takes what is for our addresses, and leaves all else to the host; it goes
/// with this object, or with the process.
///
/// Frames carry no note of checksums that their sender has left to his card: those are told by what they look like, and
/// completed. NO_INTERFACE, NO_PERMISSION, INTERFACE_DOWN; BUSY: there is a program, or another socket; UNSUPPORTED: it
/// is no Ethernet, its driver has no XDP, or its MTU is too long.
Result<std::vector<std::unique_ptr<forward::Nic>>> open_inline_nics(const std::vector<std::string>& names);

}  // namespace ringtap::afxdp
