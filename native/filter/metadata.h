// What a program asks for beside a packet's bytes, at the offsets at which Linux shows it, and tunnels where it has
// nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "core/program.h"

namespace ringtap {

struct MetadataReads {
  bool packet_type = false;
  bool interface = false;
  bool tunnel = false;
  std::optional<size_t> other;  // the first instruction that reads anything else of the kind

  bool any() const noexcept { return packet_type || interface || tunnel || other.has_value(); }
};

/// Does it load a word of a TunnelRow?
bool is_tunnel_word(const BpfInsn& insn) noexcept;

MetadataReads metadata_reads(const Program& program);

/// The program for packets whose VLAN tag is in their bytes: what asks for a tag beside them finds none, as in a frame
/// that has none.
Program without_tag_metadata(Program program);

/// Could the program accept a packet of this type (PACKET_OUTGOING and the like), whatever its bytes are? `program` has
/// passed validate() and has no loop.
bool may_accept(const Program& program, uint32_t packet_type);

}  // namespace ringtap
