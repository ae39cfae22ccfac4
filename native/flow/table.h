// The flows that are open.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "flow/index.h"
#include "flow/records.h"
#include "flow/sampling.h"
#include "flow/sink.h"
#include "flow/wheel.h"

namespace ringtap::flow {

struct Limits {
  int64_t active_ns = 60'000'000'000;
  int64_t idle_ns = 15'000'000'000;
  int64_t linger_ns = 2'000'000'000;  // of a closed TCP flow, for stragglers
  uint32_t most_flows = 1 << 20;
  uint32_t most_records = 1 << 22;  // that wait
  uint32_t payload_bytes = 0;       // of each end's first payload that are kept; 255 at most
};

/// Finds flows by their keys, ends them in time, and makes records of them. The clock is that of the packets: advance()
/// is told of it.
class Table {
 public:
  struct Counts {
    uint64_t created = 0;
    uint64_t quiet = 0;  // ended without a packet since the last record
    std::array<uint64_t, kEndings> records{};
  };

  static Result<std::unique_ptr<Table>> make(const Limits& limits, const std::array<uint64_t, 8>& hash_key,
                                             const Factors& factors, uint64_t first_id);

  uint64_t hash(const Key& key) const noexcept { return hash_(key); }
  const KeyedHash& keyed_hash() const noexcept { return hash_; }

  void fetch_place(uint64_t hash) const noexcept { index_.fetch(hash); }
  /// Fetches the flow that is likely the one, as far as a packet of this end needs it, and gives its slot.
  uint32_t fetch_flow(uint64_t hash, uint32_t way) const noexcept;
  /// … and what is needed where the flow changes its state.
  void fetch_side(uint32_t slot) const noexcept;

  /// kNoFlow where there is none.
  uint32_t find(const Key& key, uint64_t hash) const noexcept {
    return index_.find(hash, [&](uint32_t slot) { return flows_[slot].is(key); });
  }
  /// Is there a flow with this key in this slot? The slot may be kNoFlow, or another's by now.
  bool is_of(uint32_t slot, const Key& key) const noexcept {
    return slot != kNoFlow && flows_[slot].id != 0 && flows_[slot].is(key);
  }
  /// A new flow, which evicts another one where there is no room. Its counters are 0. kNoFlow: no memory.
  uint32_t create(const Key& key, uint64_t hash, int64_t time);

  Flow& flow(uint32_t slot) noexcept { return flows_[slot]; }
  Side& side(uint32_t slot) noexcept { return sides_[slot]; }

  bool keeps_payload() const noexcept { return firsts_ != nullptr; }
  /// What this end has sent first is kept, as far as there is room; what it sends later is not.
  void keep_payload(uint32_t slot, uint32_t way, const std::byte* payload, size_t bytes) noexcept;

  /// A flow is due sooner than it was: it was closed, and ends after the linger, or a new part of it has begun.
  void hang_anew(uint32_t slot) noexcept;
  /// One more record of it, and it goes on.
  void split(uint32_t slot);
  void end(uint32_t slot, Ended why);
  /// How a closed flow ended.
  static Ended ended(const Flow& flow, Ended otherwise) noexcept;

  /// It is so late by now: ends what is over.
  void advance(int64_t now) {
    if (Wheel::tick_of(now) != wheel_.tick()) [[unlikely]]
      turn(now);
  }
  /// Ends all of them.
  void flush();

  /// Hears of flows that end; not owned.
  void set_sink(Sink* sink) noexcept { sink_ = sink; }

  void set_epoch(int64_t ns) noexcept { epoch_ns_ = ns; }
  int64_t epoch() const noexcept { return epoch_ns_; }
  Records& records() noexcept { return records_; }
  const Records& records() const noexcept { return records_; }
  const Counts& counts() const noexcept { return counts_; }
  uint32_t active() const noexcept { return active_; }
  const Limits& limits() const noexcept { return limits_; }
  uint32_t longest_run() const noexcept { return index_.longest_run(); }
  /// Of memory that was touched, as far as it is known.
  size_t bytes() const noexcept { return index_.bytes() + size_t{used_} * (sizeof(Flow) + sizeof(Side)); }

 private:
  struct Deadline {
    int64_t at;
    Wheel::Why why;
  };

  Table(const Limits& limits, const KeyedHash& hash, Index index, std::shared_ptr<Region> flows,
        std::shared_ptr<Region> sides, std::shared_ptr<Region> firsts, const Factors& factors, uint64_t first_id);

  uint64_t hash_of(uint32_t slot) const noexcept;
  Deadline deadline(const Flow& flow) const noexcept;
  uint32_t take_slot();
  /// Of both ends: a byte with the length, and room for the payload. Null where none is kept.
  std::byte* firsts_of(uint32_t slot) const noexcept {
    return firsts_ == nullptr ? nullptr : firsts_ + size_t{slot} * 2 * records_.beginning_bytes();
  }
  void record(uint32_t slot, Ended why);
  void turn(int64_t now);
  void look_at_due(uint32_t slot, int64_t now);
  void empty_bucket(uint32_t bucket, Wheel::Why why, int64_t now);
  bool evict();
  bool evict_of(Wheel::Why why);

  Limits limits_;
  KeyedHash hash_;
  Index index_;
  std::shared_ptr<Region> flow_memory_;
  std::shared_ptr<Region> side_memory_;
  std::shared_ptr<Region> first_memory_;
  Flow* flows_;
  Side* sides_;
  std::byte* firsts_;
  Wheel wheel_;
  Records records_;
  Counts counts_;
  Sink* sink_ = nullptr;
  uint32_t used_ = 0;  // slots that were ever taken
  uint32_t free_ = kNoFlow;
  uint32_t active_ = 0;
  Factors factors_;
  uint64_t next_id_;
  int64_t epoch_ns_ = 0;
};

}  // namespace ringtap::flow
