// Traces of what is sent on: as it came, as it left, and as if nobody were between.
#pragma once

#include <memory>

#include "forward/engine.h"
#include "forward/tap_ring.h"
#include "write/writer.h"

namespace ringtap::addon {

/// Who looks on: a trace, or somebody who reads batches; neither: nobody.
struct Tap {
  std::shared_ptr<TraceWriter> writer;
  std::shared_ptr<forward::TapRing> ring;

  explicit operator bool() const noexcept { return writer || ring; }
};

struct TapsWanted {
  Tap ingress, egress, synthetic;
  bool any() const noexcept { return ingress || egress || synthetic; }
};

/// Copies frames into writers and rings that drop what they have no room for. The sources of a writer are the ports.
/// Checksums that a sender has left to its network card are completed: the trace has what the wire would have had.
std::unique_ptr<forward::Taps> make_taps(TapsWanted wanted, size_t ports);

}  // namespace ringtap::addon
