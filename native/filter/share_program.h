// Programs for the kernel that deal out packets to the sockets of a fanout group, by the hash of core/sharing.h.
#pragma once

#include "core/program.h"
#include "core/sharing.h"
#include "filter/ebpf_asm.h"

namespace ringtap {

/// What an eBPF program remembers. Descriptors of maps; -1: it does without.
struct ShareMaps {
  int fragments = -1;  // FragmentKey → the hash of a datagram's first fragment
  int orphans = -1;    // an array of one 64-bit count: later fragments whose first one is not there
};

/// A key of the map of fragments.
struct FragmentKey {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint32_t id = 0;
  uint32_t protocol = 0;  // and the IP version, << 8
};
static_assert(sizeof(FragmentKey) == 16);

/// A socket filter whose result is the hash. Reads packets from their network header on, where the kernel says that is.
Result<EbpfProgram> share_program(ShareHash how, const ShareMaps& maps);

/// The same as a classic program, which needs no right to load. Of what hashes no ports: it remembers nothing.
Program classic_share_program(ShareHash how);

}  // namespace ringtap
