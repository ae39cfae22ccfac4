// A source's packets dealt out to several readers, by a thread of its own. No byte of a packet is copied: readers get
// descriptors of the source's memory, and what they give back is released where it came from.
#pragma once

#include <cstdint>
#include <memory>

#include "core/sharing.h"
#include "core/source.h"

namespace ringtap {

struct DistributorSetup {
  Sharing sharing;
  uint32_t batch_size = 256;  // the most packets that a reader asks for
};

/// Takes the source over, which has its filter and is not started. What is read as fast as it can be (a trace) waits
/// for the slowest reader. What comes by itself does not: a reader that has no room loses what is its own, which is
/// counted as `ring` of that reader.
Result<Shares> distribute(std::unique_ptr<Source> source, const DistributorSetup& setup);

}  // namespace ringtap
