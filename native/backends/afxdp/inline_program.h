// The XDP program of a forwarder: what is for our addresses comes to us, all else stays the host's.
#pragma once

#include "core/error.h"
#include "filter/ebpf_asm.h"

namespace ringtap::afxdp {

/// Redirects packets to the addresses in a map (AddressSet's) that are all ours, and GENEVE to those that are not, ARP
/// and neighbour solicitations for them, behind up to two VLAN tags, to the sockets in another one. Everything else
/// passes on untouched.
Result<EbpfProgram> assemble_inline(int addresses, int xsk_map);

}  // namespace ringtap::afxdp
