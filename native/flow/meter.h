// Batches in, records of flows out.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/tunnel.h"
#include "decode/decode.h"
#include "flow/sampling.h"
#include "flow/sighting.h"
#include "flow/sink.h"
#include "flow/table.h"

namespace ringtap::flow {

struct Options {
  Limits limits = {};
  Keyed keyed = {};
  bool decap = true;
  uint32_t sample_packets = 1;                        // one of so many
  uint32_t sample_flows = 1;                          // one of so many; all packets of it
  std::vector<InterfaceRate> sample_interfaces = {};  // those of which it is another number than sample_packets
  std::array<uint64_t, 8> hash_key = random_hash_key();
  uint64_t first_id = 1;
};

/// A batch as it lies in memory that JS can write.
struct Batch {
  decode::Packets packets;
  const double* time = nullptr;  // ns from the epoch
  const double* rest = nullptr;  // what `time` lacks where kFlagTimeInexact is set
  const TunnelRow* tunnel = nullptr;
  const uint16_t* interface = nullptr;  // a trace's number of it; null: 0 of all
  int64_t epoch_ns = 0;
};

/// Where a packet of a batch belongs: for those who look into flows. A slot is a flow's as long as the id is the same.
struct Placed {
  uint64_t flow = 0;  // 0: in none
  uint32_t slot = kNoFlow;
  uint32_t payload_at = decode::kAbsent;  // in the batch's segment
  uint32_t payload_caplen = 0;
  uint32_t payload_length = 0;
  uint32_t sequence = 0;
  uint8_t protocol = 0;
  uint8_t tcp_flags = 0;
  bool by_initiator = true;
};

struct Stats {
  uint64_t packets = 0;  // in_flows + sampled_out + all of without_flow
  uint64_t in_flows = 0;
  uint64_t sampled_out = 0;
  std::array<uint64_t, kClasses> without_flow{};  // by Class
  uint64_t without_memory = 0;
  uint64_t without_ports = 0;    // in a flow, but cut before its ports, or a later fragment of one that was not seen
  uint64_t icmp_attributed = 0;  // errors about a flow that is open …
  uint64_t icmp_strange = 0;     // … and about none
};

/// One thread at a time. Nothing in a packet or a descriptor can harm it.
class Meter {
 public:
  static Result<std::unique_ptr<Meter>> make(const Options& options);

  /// @param placed room for an entry a packet, or empty
  void add(const Batch& batch, std::span<Placed> placed = {});
  /// It is so late by now, in ns since 1970, though no packet says so.
  void advance(int64_t now) { table_->advance(now); }
  /// Ends all flows.
  void flush() { table_->flush(); }

  /// Who looks into packets from now on, or null; not owned.
  void set_sink(Sink* sink) noexcept {
    sink_ = sink;
    table_->set_sink(sink);
  }

  Table& table() noexcept { return *table_; }
  const Table& table() const noexcept { return *table_; }
  const Stats& stats() const noexcept { return stats_; }
  bool has_epoch() const noexcept { return has_epoch_; }

 private:
  /// WHY so few: what is fetched ahead has to stay in the first cache until its turn.
  static constexpr uint32_t kStage = 32;

  /// Packets that were looked at, and are to go into their flows.
  struct Stage {
    uint32_t from = 0;
    uint32_t count = 0;
    std::array<decode::Row, kStage> rows;
    std::array<Sighting, kStage> seen;
  };

  Meter(const Options& options, std::unique_ptr<Table> table);

  void look(const Batch& batch, Stage& stage, Stage& before);
  void see(const Batch& batch, uint32_t i, decode::Row& row, Sighting& seen);
  void fetch_flow(Sighting& seen) noexcept;
  void enter(const Batch& batch, Stage& stage, std::span<Placed> placed);
  void enter(const Batch& batch, const decode::Row& row, const Sighting& seen, Placed* placed);
  uint32_t slot_of(const Sighting& seen);
  void count(Flow& flow, const Sighting& seen) noexcept;
  void attribute(const Sighting& seen);

  Sampling sampling_;
  std::unique_ptr<Table> table_;
  Fragments fragments_;
  Sightings sightings_;
  Stats stats_;
  Sink* sink_ = nullptr;
  bool has_epoch_ = false;
  std::array<Stage, 2> stages_;
};

}  // namespace ringtap::flow
