// The AF_PACKET socket: opened, given its ring, bound.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backends/afpacket/interface.h"
#include "backends/afpacket/ring.h"
#include "core/program.h"
#include "core/source.h"
#include "core/unique_fd.h"

namespace ringtap::afpacket {

/// Of SOCK_RAW or SOCK_DGRAM. Nothing arrives before it is bound. `uri` is for messages.
/// Errors: NO_PERMISSION, BACKEND_MISSING, SYSTEM.
Result<UniqueFd> open_socket(int type, const std::string& uri);

/// Lets the NIC stamp packets if that is asked for; `info` says which clock it is, and why.
void choose_clock(int fd, const OpenRequest& request, SourceInfo& info);

struct MappedRing {
  std::unique_ptr<Ring> ring;
  uint32_t blocks = 0;
};
/// A TPACKET_V3 ring of `bufferBytes` in blocks of `blockBytes`. Errors: BAD_OPTION, BACKEND_MISSING, NO_MEMORY,
/// SYSTEM.
Result<MappedRing> map_ring(int fd, const Options& options, const std::string& uri);

// Each returns errno, 0 on success.
int attach(int fd, const Program& program);
/// Rejects every packet from here on.
int reject_all(int fd);
int bind_to(int fd, const Interface& interface, uint16_t protocol);
/// Bound to an EtherType that no packet has. Refused in a fanout group.
int bind_to_silence(int fd, const Interface& interface);
int enter_promiscuous_mode(int fd, const Interface& interface);
int leave_promiscuous_mode(int fd, const Interface& interface);
/// `mode` is a PACKET_FANOUT_ value.
int join_fanout(int fd, uint32_t group, uint32_t mode);

/// The PACKET_FANOUT_ value of a `fanoutMode`; nothing if there is no such mode.
std::optional<uint32_t> fanout_mode(const std::string& name);

}  // namespace ringtap::afpacket
