// Leases: who holds which part of a backend's memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ringtap {

/// A ticket for lent memory. 0 is never given out.
using Lease = uint64_t;

/// Hands out a fixed number of leases, each carrying a tag of the backend's (a block, a chunk …).
/// A stale or doubled release is recognised by its generation and changes nothing.
class LeaseTable {
 public:
  explicit LeaseTable(uint32_t capacity);

  uint32_t capacity() const noexcept { return static_cast<uint32_t>(slots_.size()); }
  uint32_t outstanding() const noexcept { return outstanding_; }
  bool full() const noexcept { return free_.empty(); }

  /// A new lease, or nothing when all are out.
  std::optional<Lease> acquire(uint32_t tag);
  /// The tag of a lease that was out and now is not; nothing if it was not out.
  std::optional<uint32_t> release(Lease lease);

 private:
  struct Slot {
    uint32_t generation = 1;
    uint32_t tag = 0;
    bool out = false;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  uint32_t outstanding_ = 0;
};

}  // namespace ringtap
