// The loss ledger of a source.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ringtap {

/// Loss of one kind. No value means the method cannot tell, which is not zero.
struct DropCause {
  std::string name;
  std::optional<uint64_t> count;
};

/// received = delivered + filtered + dropped + pending, to the packet. Monotonic; reading changes nothing.
struct Stats {
  uint64_t received = 0;         // every packet the source has accounted for
  uint64_t delivered = 0;        // lent to the reader
  uint64_t filtered = 0;         // rejected by our own filter, after reception
  uint64_t dropped = 0;          // sum of the known causes
  uint64_t pending = 0;          // accepted, not yet lent
  uint64_t joined = 0;           // of the delivered: came in fragments and were copied into one piece
  uint64_t delivered_bytes = 0;  // wire bytes of what was delivered
  std::vector<DropCause> drops;
  std::vector<DropCause> details;  // counters of the driver by its own names, where they were asked for
};

}  // namespace ringtap
