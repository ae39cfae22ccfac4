#include "flow/meter.h"

#include <algorithm>

#include "core/desc.h"
#include "core/untrusted.h"

namespace ringtap::flow {

namespace {

constexpr int64_t kFarthest = int64_t{1} << 61;

/// A time that JavaScript may have written; what is none, or beyond all clocks, is at their end.
int64_t bounded(double ns) noexcept {
  constexpr auto kMost = static_cast<double>(kFarthest);
  if (!(ns > -kMost)) return -kFarthest;
  return ns < kMost ? static_cast<int64_t>(ns) : kFarthest;
}

int64_t time_of(const Batch& batch, uint32_t i) noexcept {
  int64_t ns = std::clamp(batch.epoch_ns, -kFarthest, kFarthest) + bounded(load_once(&batch.time[i]));
  if ((load_once(&batch.packets.flags[i]) & kFlagTimeInexact) != 0) [[unlikely]]
    ns += bounded(load_once(&batch.rest[i]));
  return std::clamp(ns, -kFarthest, kFarthest);
}

uint16_t bounded16(uint32_t value) noexcept { return static_cast<uint16_t>(std::min<uint32_t>(value, UINT16_MAX)); }

}  // namespace

Result<std::unique_ptr<Meter>> Meter::make(const Options& options) {
  const Sampling sampling(options.sample_packets, options.sample_flows, options.sample_interfaces);
  auto table = Table::make(options.limits, options.hash_key, sampling.factors(), options.first_id);
  if (!table) return std::move(table).error();
  return std::unique_ptr<Meter>(new Meter(options, *std::move(table)));
}

Meter::Meter(const Options& options, std::unique_ptr<Table> table)
    : sampling_(options.sample_packets, options.sample_flows, options.sample_interfaces),
      table_(std::move(table)),
      fragments_(table_->keyed_hash()),
      sightings_(options.keyed, options.decap, fragments_) {}

void Meter::add(const Batch& batch, std::span<Placed> placed) {
  if (!has_epoch_ && batch.packets.count > 0) {
    has_epoch_ = true;
    table_->set_epoch(batch.epoch_ns);
  }
  // WHY two stages: while one is looked at, what the one before it needs of the table is on its way.
  Stage* stage = &stages_[0];
  Stage* before = &stages_[1];
  before->count = 0;
  for (uint32_t from = 0; from < batch.packets.count; from += kStage) {
    stage->from = from;
    stage->count = std::min(kStage, batch.packets.count - from);
    look(batch, *stage, *before);
    enter(batch, *before, placed);
    std::swap(stage, before);
  }
  for (uint32_t i = 0; i < before->count; i++) fetch_flow(before->seen[i]);
  enter(batch, *before, placed);
  stats_.packets += batch.packets.count;
}

void Meter::fetch_flow(Sighting& seen) noexcept {
  if (seen.kind != Class::kFlow || seen.is_sampled_out) return;
  seen.likely = table_->fetch_flow(seen.hash, seen.from_b ? 1 : 0);
  // The first and the last of a flow look at more of it.
  if (seen.likely != kNoFlow && (seen.segment.flags & (kSynFlag | kFinFlag | kRstFlag)) != 0 && seen.is_tcp)
    table_->fetch_side(seen.likely);
}

/// The first pass: what the packets are, and where in the index their flows would be. Of the packets before them, the
/// flows.
void Meter::look(const Batch& batch, Stage& stage, Stage& before) {
  decode::decode_rows(batch.packets, stage.from, stage.count, stage.rows.data());
  for (uint32_t i = 0; i < stage.count; i++) {
    see(batch, stage.from + i, stage.rows[i], stage.seen[i]);
    if (i < before.count) fetch_flow(before.seen[i]);
  }
  for (uint32_t i = stage.count; i < before.count; i++) fetch_flow(before.seen[i]);
}

/// Packet `i` of the batch.
void Meter::see(const Batch& batch, uint32_t i, decode::Row& row, Sighting& seen) {
  seen.is_sampled_out = false;
  if (sampling_.is_by_packet()) [[unlikely]] {
    const uint16_t interface = batch.interface == nullptr ? uint16_t{0} : load_once(&batch.interface[i]);
    if (!sampling_.takes_packet(interface, seen.rate)) {
      seen.is_sampled_out = true;
      seen.kind = Class::kFlow;
      return;
    }
  }
  TunnelRow tunnel;
  // SAFETY: JS may write to it meanwhile; a copy is one row or the other, and any is good.
  if (batch.tunnel != nullptr) tunnel = batch.tunnel[i];
  sightings_.see(row, batch.tunnel != nullptr ? &tunnel : nullptr, batch.packets.link_type, time_of(batch, i), seen);
  if (seen.kind != Class::kFlow) return;
  seen.hash = table_->hash(seen.key);
  if (!sampling_.takes_flow(seen.hash)) [[unlikely]] {
    seen.is_sampled_out = true;
    return;
  }
  table_->fetch_place(seen.hash);
}

/// The second pass: each packet into its flow.
void Meter::enter(const Batch& batch, Stage& stage, std::span<Placed> placed) {
  for (uint32_t i = 0; i < stage.count; i++) {
    enter(batch, stage.rows[i], stage.seen[i], placed.empty() ? nullptr : &placed[stage.from + i]);
  }
}

void Meter::enter(const Batch& batch, const decode::Row& row, const Sighting& seen, Placed* placed) {
  if (placed != nullptr) *placed = {};
  if (seen.is_sampled_out) {
    stats_.sampled_out++;
    return;
  }
  table_->advance(seen.time);
  if (seen.kind != Class::kFlow) [[unlikely]] {
    stats_.without_flow[static_cast<size_t>(seen.kind)]++;
    if (sink_ != nullptr) sink_->other(row, seen);
    return;
  }
  const uint32_t slot = slot_of(seen);
  if (slot == kNoFlow) [[unlikely]] {
    stats_.without_memory++;
    return;
  }
  stats_.in_flows++;
  stats_.without_ports += seen.without_ports ? 1 : 0;
  Flow& flow = table_->flow(slot);
  if (placed != nullptr) {
    const decode::Headers& found = row.headers;
    const auto at = static_cast<uint32_t>(row.bytes.data - batch.packets.segment);
    *placed = {.flow = flow.id,
               .slot = slot,
               .payload_at = found.payload_caplen > 0 ? at + found.payload_offset : decode::kAbsent,
               .payload_caplen = found.payload_caplen,
               .payload_length = found.payload_length,
               .sequence = found.sequence,
               .protocol = found.protocol,
               .tcp_flags = found.tcp_flags,
               .by_initiator = (seen.from_b ? 1u : 0u) == flow.initiator()};
  }
  const bool is_closed = seen.is_tcp && follow_state(flow, seen.segment, seen.from_b ? 1 : 0, seen.time);
  // WHY: a flow of which nothing was new waits for its idle timeout, and its next part may be over before that.
  const bool begins_part =
      flow.way[seen.from_b ? 1 : 0].packets == 0 && !flow.has_packets() && table_->side(slot).part > 0;
  count(flow, seen);
  if (table_->keeps_payload() && row.headers.payload_caplen > 0 && row.headers.fragment_offset == 0) {
    table_->keep_payload(slot, seen.from_b ? 1 : 0, row.bytes.data + row.headers.payload_offset,
                         row.headers.payload_caplen);
  }
  if (sink_ != nullptr) [[unlikely]]
    sink_->packet(flow, slot, row, seen);
  if (is_closed || begins_part) [[unlikely]]
    table_->hang_anew(slot);
  if (seen.quoted.size > 0) [[unlikely]]
    attribute(seen);
}

uint32_t Meter::slot_of(const Sighting& seen) {
  uint32_t slot = table_->is_of(seen.likely, seen.key) ? seen.likely : table_->find(seen.key, seen.hash);
  if (slot != kNoFlow) [[likely]] {
    const Flow& flow = table_->flow(slot);
    // The ports are used again.
    const bool begins = seen.is_tcp && (seen.segment.flags & (kSynFlag | kAckFlag | kRstFlag)) == kSynFlag;
    if (begins && (flow.is_closed() || flow.is_finished())) [[unlikely]] {
      table_->end(slot, Table::ended(flow, Ended::kIdle));
      slot = kNoFlow;
    } else if (flow.way[seen.from_b ? 1 : 0].packets == UINT32_MAX) [[unlikely]] {
      table_->split(slot);
    }
  }
  if (slot != kNoFlow) return slot;
  slot = table_->create(seen.key, seen.hash, seen.time);
  if (slot == kNoFlow) return slot;
  const bool from_initiator = seen.starter != Starter::kReceiver;
  if (seen.from_b == from_initiator) table_->flow(slot).add_state(kFromB);
  if (seen.is_icmp) {
    table_->side(slot).icmp_type = seen.icmp_type;
    table_->side(slot).icmp_code = seen.icmp_code;
  }
  return slot;
}

void Meter::count(Flow& flow, const Sighting& seen) noexcept {
  Direction& way = flow.way[seen.from_b ? 1 : 0];
  const uint16_t size = bounded16(seen.ip_bytes);
  if (way.packets == 0) {
    way.first_ns = seen.time;
    way.least_bytes = size;
    way.least_ttl = seen.ttl;
    if (way.last_ns < seen.time) way.last_ns = seen.time;
  } else {
    way.first_ns = std::min(way.first_ns, seen.time);
    way.last_ns = std::max(way.last_ns, seen.time);
    way.least_bytes = std::min(way.least_bytes, size);
    way.least_ttl = std::min(way.least_ttl, seen.ttl);
  }
  way.most_bytes = std::max(way.most_bytes, size);
  way.packets++;
  way.ip_bytes += seen.ip_bytes;
  way.frame_bytes += seen.frame_bytes;
  if (!seen.is_tcp) return;
  way.tcp_flags |= seen.segment.flags;
  if (seen.segment.window == 0 && (seen.segment.flags & (kSynFlag | kFinFlag | kRstFlag)) == 0 &&
      way.zero_windows < UINT16_MAX) {
    way.zero_windows++;
  }
  follow_sequence(way, seen.segment);
}

/// The flow that an ICMP error is about is told of it; the error itself counts where it belongs, in a flow of ICMP.
void Meter::attribute(const Sighting& seen) {
  Key key;
  if (!sightings_.quoted(seen.quoted, seen.key, key)) {
    stats_.icmp_strange++;
    return;
  }
  const uint32_t slot = table_->find(key, table_->hash(key));
  if (slot == kNoFlow) {
    stats_.icmp_strange++;
    return;
  }
  stats_.icmp_attributed++;
  Side& side = table_->side(slot);
  if (side.icmp_errors < UINT16_MAX) side.icmp_errors++;
  side.icmp_type = seen.icmp_type;
  side.icmp_code = seen.icmp_code;
}

}  // namespace ringtap::flow
