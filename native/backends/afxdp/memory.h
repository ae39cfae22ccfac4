// The memory of a capture: packet frames, frames to send from, and room to join fragmented packets.
#pragma once

#include <sys/resource.h>

#include <mutex>
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

/// RLIMIT_MEMLOCK, lifted as far as the process may for as long as this lives. WHY only so long: it is the limit of the
/// whole process and of its children, and only counts while memory is registered. One at a time.
class MemlockLift {
 public:
  MemlockLift() = default;
  ~MemlockLift();
  MemlockLift(const MemlockLift&) = delete;
  MemlockLift& operator=(const MemlockLift&) = delete;

  /// False when nothing changed.
  bool raise();

 private:
  std::unique_lock<std::mutex> alone_;
  rlimit before_{};
};

uint64_t memlock_limit();

}  // namespace ringtap::afxdp
