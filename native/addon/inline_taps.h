// Traces of what is sent on: as it came, as it left, and as if nobody were between.
#pragma once

#include <memory>

#include "forward/engine.h"
#include "write/writer.h"

namespace ringtap::addon {

struct TapWriters {
  std::shared_ptr<TraceWriter> ingress, egress, synthetic;  // null: nobody wants it
  bool any() const noexcept { return ingress || egress || synthetic; }
};

/// Copies frames into writers that drop what they have no room for. The sources of a writer are the ports. Checksums
/// that a sender has left to its network card are completed: the trace has what the wire would have had.
std::unique_ptr<forward::Taps> make_taps(TapWriters writers, size_t ports);

}  // namespace ringtap::addon
