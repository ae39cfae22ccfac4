// The AF_PACKET socket: opened, given its ring, its clock and its fanout group.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backends/afpacket/ring.h"
#include "backends/afpacket/target.h"
#include "core/source.h"
#include "core/unique_fd.h"

namespace ringtap::afpacket {

/// Of SOCK_RAW or SOCK_DGRAM. Nothing arrives before it is bound. `uri` is for messages.
/// Errors: NO_PERMISSION, BACKEND_MISSING, SYSTEM.
Result<UniqueFd> open_socket(int type, const std::string& uri);

/// Lets the NIC stamp packets if that is asked for; `info` says which clock it is, and why.
void choose_clock(int fd, const Target& target, const OpenRequest& request, SourceInfo& info);

struct MappedRing {
  std::unique_ptr<Ring> ring;
  uint32_t blocks = 0;
};
/// A TPACKET_V3 ring of `bufferBytes` in blocks of `blockBytes`. Errors: BAD_OPTION, BACKEND_MISSING, NO_MEMORY,
/// SYSTEM.
Result<MappedRing> map_ring(int fd, const Options& options, const std::string& uri);

/// The PACKET_FANOUT_ value of a `shareMode`; nothing if there is no such mode.
std::optional<uint32_t> fanout_mode(const std::string& name);
/// After it is bound. Returns errno, 0 on success.
int join_fanout(int fd, uint32_t group, uint32_t mode);

}  // namespace ringtap::afpacket
