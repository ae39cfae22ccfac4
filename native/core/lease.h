// Leases: who holds which part of a backend's memory. Which of them to take: docs/adding-a-backend.md.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ringtap {

/// A ticket for lent memory. 0 is never given out.
using Lease = uint64_t;

/// A fixed number of equal pieces, by number: taken and given back in any order. The one given back last is taken
/// first, because it is still in the cache.
class Pool {
 public:
  explicit Pool(uint32_t pieces);

  uint32_t size() const noexcept { return size_; }
  uint32_t taken() const noexcept { return size_ - static_cast<uint32_t>(free_.size()); }
  bool empty() const noexcept { return free_.empty(); }

  /// What take() takes next. Not when empty().
  uint32_t next() const noexcept { return free_.back(); }
  /// A piece that is the caller's until give(). Not when empty().
  uint32_t take() noexcept;
  /// Takes a piece back that is out.
  void give(uint32_t piece) noexcept;

 private:
  uint32_t size_;
  std::vector<uint32_t> free_;
};

/// Hands out a fixed number of leases, each carrying a tag of the backend's (a block, a chunk …).
/// A stale or doubled release is recognised by its generation and changes nothing.
class LeaseTable {
 public:
  explicit LeaseTable(uint32_t capacity);

  uint32_t capacity() const noexcept { return free_.size(); }
  uint32_t outstanding() const noexcept { return free_.taken(); }
  bool full() const noexcept { return free_.empty(); }

  /// A number below capacity() that no lease which is out has, and the next one will. Who keeps a piece of memory for
  /// each lease has its number here, and need not count pieces as well. Not when full().
  uint32_t next() const noexcept { return free_.next(); }

  /// A new lease, or nothing when all are out.
  std::optional<Lease> acquire(uint32_t tag) noexcept;
  /// The tag of a lease that is out; nothing if it is not.
  std::optional<uint32_t> find(Lease lease) const noexcept;
  /// The tag of a lease that was out and now is not; nothing if it was not out.
  std::optional<uint32_t> release(Lease lease) noexcept;

 private:
  struct Slot {
    uint32_t generation = 1;
    uint32_t tag = 0;
    bool out = false;
  };
  std::vector<Slot> slots_;
  Pool free_;
};

/// Leases on stretches of a ring: lent in its order, released in any, and free for whoever fills the ring in its order
/// again. Positions are the backend's: counts, or offsets that begin anew at the ring's end.
class OrderedLeases {
 public:
  /// `start` is where the first stretch begins.
  explicit OrderedLeases(uint32_t capacity, uint64_t start = 0);

  uint32_t capacity() const noexcept { return leases_.capacity(); }
  uint32_t outstanding() const noexcept { return leases_.outstanding(); }
  bool full() const noexcept { return leases_.full(); }

  /// Where the oldest stretch that is still lent begins: nobody holds anything before it. Everything lent is back when
  /// this is where the last one ends.
  uint64_t freed() const noexcept { return stretches_[root_].end; }

  /// Lends what lies between the last stretch and `end`. Not when full().
  Lease lend(uint64_t end) noexcept;
  /// Nobody wants what lies between the last stretch and `end`: it is free together with the stretch before it.
  void skip(uint64_t end) noexcept;
  /// Where a stretch that is lent begins; nothing if it is not.
  std::optional<uint64_t> begin(Lease lease) const noexcept;
  /// False if it was not out.
  bool release(Lease lease) noexcept;

 private:
  /// What is lent, in a list in the ring's order. Its memory goes on to the stretch before when it comes back.
  struct Stretch {
    uint64_t end = 0;
    uint32_t before = 0;
    uint32_t after = 0;
  };

  LeaseTable leases_;
  uint32_t root_;  // the list's first and last node: what is free ends where it does
  std::vector<Stretch> stretches_;
};

}  // namespace ringtap
