// Kernel programs made from filter programs: what an AF_PACKET socket needs in front of them.
#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "core/program.h"

namespace ringtap {

/// A kernel program: packets whose VLAN tag the kernel took out of the bytes are accepted whole (`accept_len`), all
/// others are decided by `program`.
///
/// WHY: a filter is meant for the bytes on the wire. The kernel strips the tag before a filter sees the packet, so a
/// tagged one can only be decided in user space, once the tag is back in its place. Those of a type in `hopeless`
/// (PACKET_OUTGOING and the like) are rejected.
Program with_vlan_prefix(const Program& program, uint32_t accept_len, const std::vector<uint32_t>& hopeless = {});

/// A kernel program that first rejects packets of these types.
Program without_types(const Program& program, const std::vector<uint32_t>& types);

/// Which way packets must go, seen from this host.
enum class Direction : uint8_t { kBoth, kIn, kOut };

/// What the option `direction` asks for.
Direction requested_direction(const Options& options);

/// A kernel program that first rejects packets going the wrong way and what the kernel shows twice: the sending side of
/// the loopback interface (`loopback_index`, 0 if there is none) and of CAN interfaces.
Program with_direction_prefix(const Program& program, Direction direction, uint32_t loopback_index);

/// Constant non-zero accept lengths become at most `snaplen`.
Program cap_snaplen(Program program, uint32_t snaplen);

/// Why the kernel refuses this validated program, or would decide otherwise than FilterVm; empty if neither.
std::string kernel_obstacle(const Program& program);

}  // namespace ringtap
