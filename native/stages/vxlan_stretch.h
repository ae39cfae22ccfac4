// Stretches of a batch in which nothing is special: Ethernet packets out of VXLAN, or out of no tunnel.
#pragma once

#include "core/byte_order.h"
#include "core/desc.h"

namespace ringtap {

/// The memory that descriptors point into.
struct StretchMemory {
  const std::byte* bytes = nullptr;
  uint64_t size = 0;
};

struct Stretch {
  uint32_t next = 0;    // the first packet that is special, or the end
  uint32_t opened = 0;  // packets before it that came out of VXLAN; the others came out of no tunnel
};

/// Opens packets from `begin` on, where their descriptors are. The headers of the first kFetchAhead have been asked
/// for.
/// @param snaplen of what comes out
Stretch open_stretch(DescBlock& block, uint32_t begin, uint32_t end, const StretchMemory& memory,
                     uint32_t snaplen) noexcept;

/// Packets whose headers are asked for before their turn: as long as another core's cache takes to give them.
constexpr uint32_t kFetchAhead = 16;

/// Outer and inner headers take two lines of a cache.
inline void fetch_headers(const StretchMemory& memory, uint32_t offset) noexcept {
  constexpr uint32_t kLine = 64;
  if (offset >= memory.size) return;
  prefetch(memory.bytes + offset);
  prefetch(memory.bytes + offset + kLine);
}

}  // namespace ringtap
