// Making the index of a trace.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"

namespace ringtap {

struct IndexFacts {
  std::string path;  // of the index
  uint64_t packets = 0;
  uint64_t sections = 0;
};

/// Reads a whole trace, and writes the index beside it: of a compressed one with the sections that its writer has made,
/// which are in the index that is there; else it is one section. Waits for the disk. CLOSED: it was given up.
Result<IndexFacts> index_trace(const std::string& path, const std::shared_ptr<const std::atomic<bool>>& cancelled);

}  // namespace ringtap
