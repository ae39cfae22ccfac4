// AF_XDP sockets that net_af_xdp leaves open.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace ringtap::dpdk {

/// By descriptor, a number that no other socket ever has.
using XdpSockets = std::map<int, uint64_t>;

/// Which of these descriptors are AF_XDP sockets.
XdpSockets xdp_sockets_of(const std::vector<int>& descriptors) noexcept;

/// Closes what is still open of the sockets of net_af_xdp, which (in 22.11) never closes them: their queues would stay
/// taken.
void close_sockets(const XdpSockets& sockets) noexcept;

}  // namespace ringtap::dpdk
