// Who looks into packets while they are put into their flows.
#pragma once

#include <cstdint>

#include "decode/decode.h"
#include "flow/flow.h"
#include "flow/sighting.h"

namespace ringtap::flow {

/// Called between add() and its return, in the order of the packets. Nothing of what is given is valid afterwards.
class Sink {
 public:
  virtual ~Sink() = default;
  /// A packet was counted in its flow, which is in this slot until ended() says that it is not.
  virtual void packet(const Flow& flow, uint32_t slot, const decode::Row& row, const Sighting& seen) = 0;
  /// One that is in no flow.
  virtual void other(const decode::Row& row, const Sighting& seen) = 0;
  virtual void ended(const Flow& flow, uint32_t slot) = 0;
};

}  // namespace ringtap::flow
