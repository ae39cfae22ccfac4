// What lies in tunnels: VXLAN, GENEVE, GRE, ERSPAN, TZSP, MPLS and GTP-U, in each other, over whatever link.
#pragma once

#include <cstdint>
#include <optional>

#include "core/tunnel.h"
#include "decode/bytes.h"

namespace ringtap::decode {

/// Tunnels in tunnels are followed so far.
constexpr uint32_t kDeepestTunnel = 4;

/// Where a packet lies in the bytes of the one that was captured.
struct Inner {
  uint32_t at = 0;
  uint32_t caplen = 0;     // at least 1
  uint32_t wirelen = 0;    // as its own IP header says, where a mirror cut it
  uint32_t link_type = 1;  // LINKTYPE_ value
};

/// The innermost packet, and about the innermost tunnel `row`, which counts on from what it says. False where the
/// packet is none of these tunnels, or what it says of itself does not hold; nothing is changed then. Fragments are no
/// tunnels.
/// @param link_type of the bytes @param wirelen bytes that they had on the wire
bool find_inner(const Bytes& bytes, uint32_t wirelen, uint32_t link_type, TunnelKinds kinds, Inner& inner,
                TunnelRow& row) noexcept;

/// The payload of a UDP datagram or of an IP packet, by itself: what a socket receives. Opens one tunnel of this kind,
/// without looking for others in it. The row's source is the caller's to fill in.
bool open_tunnel(const Bytes& bytes, TunnelKind kind, Inner& inner, TunnelRow& row) noexcept;

}  // namespace ringtap::decode
