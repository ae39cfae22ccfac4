// The memory of a capture: packet frames, frames to send from, and room to join fragmented packets.
#pragma once

#include <string>
#include <vector>

#include "backends/afxdp/xsk.h"

namespace ringtap::afxdp {

struct MemoryRequest {
  uint32_t frames = 0;
  uint32_t frame_bytes = 0;
  uint32_t joined_slots = 0;  // for packets of several fragments
  uint32_t joined_bytes = 0;  // of one slot
  bool huge_pages = false;
};

struct Memory {
  std::shared_ptr<Region> region;
  size_t joined_at = 0;  // behind the frames, on a page of its own
};

/// One region for everything, because a batch shows one piece of memory. `notes` gets what could not be had.
Result<Memory> allocate(const MemoryRequest& request, const std::string& uri, std::vector<std::string>& notes);

/// Lifts RLIMIT_MEMLOCK as far as the process may. False when nothing changed.
bool raise_memlock();
uint64_t memlock_limit();

}  // namespace ringtap::afxdp
