#include "flow/table.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace ringtap::flow {

namespace {

template <class T>
void fetch(const T* at) noexcept {
  prefetch(reinterpret_cast<const std::byte*>(at));
}

/// Of one end, with its length; 0 where none is kept.
constexpr uint32_t beginning_bytes(const Limits& limits) noexcept {
  return limits.payload_bytes == 0 ? 0 : limits.payload_bytes + 1;
}

}  // namespace

std::array<uint64_t, 8> random_hash_key() {
  std::random_device device;
  std::array<uint64_t, 8> key{};
  for (uint64_t& word : key) word = uint64_t{device()} << 32 | device();
  return key;
}

Result<std::unique_ptr<Table>> Table::make(const Limits& limits, const std::array<uint64_t, 8>& hash_key,
                                           const Factors& factors, uint64_t first_id) {
  auto index = Index::make();
  if (!index) return std::move(index).error();
  auto flows = Region::allocate(size_t{limits.most_flows} * sizeof(Flow));
  if (!flows) return std::move(flows).error();
  auto sides = Region::allocate(size_t{limits.most_flows} * sizeof(Side));
  if (!sides) return std::move(sides).error();
  std::shared_ptr<Region> firsts;
  if (limits.payload_bytes > 0) {
    auto made = Region::allocate(size_t{limits.most_flows} * 2 * beginning_bytes(limits));
    if (!made) return std::move(made).error();
    firsts = *std::move(made);
  }
  return std::unique_ptr<Table>(new Table(limits, KeyedHash(hash_key), *std::move(index), *std::move(flows),
                                          *std::move(sides), std::move(firsts), factors, first_id));
}

Table::Table(const Limits& limits, const KeyedHash& hash, Index index, std::shared_ptr<Region> flows,
             std::shared_ptr<Region> sides, std::shared_ptr<Region> firsts, const Factors& factors, uint64_t first_id)
    : limits_(limits),
      hash_(hash),
      index_(std::move(index)),
      flow_memory_(std::move(flows)),
      side_memory_(std::move(sides)),
      first_memory_(std::move(firsts)),
      // SAFETY: page aligned, zeroed, and both are plain numbers.
      flows_(reinterpret_cast<Flow*>(flow_memory_->base())),
      sides_(reinterpret_cast<Side*>(side_memory_->base())),
      firsts_(first_memory_ == nullptr ? nullptr : first_memory_->base()),
      records_(limits.most_records, beginning_bytes(limits)),
      factors_(factors),
      next_id_(first_id) {}

uint32_t Table::fetch_flow(uint64_t hash, uint32_t way) const noexcept {
  const uint32_t slot = index_.likely(hash);
  if (slot == kNoFlow) return slot;
  fetch(&flows_[slot]);
  fetch(&flows_[slot].way[way]);
  return slot;
}

void Table::fetch_side(uint32_t slot) const noexcept {
  fetch(&flows_[slot].way[0]);
  fetch(&flows_[slot].way[1]);
  fetch(&sides_[slot]);
}

uint32_t Table::take_slot() {
  if (free_ != kNoFlow) {
    const uint32_t slot = free_;
    free_ = sides_[slot].next;
    return slot;
  }
  if (used_ < limits_.most_flows) return used_++;
  if (!evict()) return kNoFlow;
  const uint32_t slot = free_;
  free_ = sides_[slot].next;
  return slot;
}

uint32_t Table::create(const Key& key, uint64_t hash, int64_t time) {
  const uint32_t slot = take_slot();
  if (slot == kNoFlow) return kNoFlow;
  if (!index_.insert(hash, slot)) {
    sides_[slot].next = free_;
    free_ = slot;
    return kNoFlow;
  }
  Flow& flow = flows_[slot];
  flow = {};
  flow.key = key;
  flow.id = next_id_++;
  flow.way[0].last_ns = flow.way[1].last_ns = INT64_MIN;
  sides_[slot] = {};
  if (std::byte* firsts = firsts_of(slot); firsts != nullptr) {
    // Beyond the lengths, too: what another flow has sent is nobody's business here.
    std::memset(firsts, 0, 2 * records_.beginning_bytes());
  }
  const bool is_old_first = limits_.active_ns < limits_.idle_ns;
  wheel_.hang(sides_, slot, time + std::min(limits_.active_ns, limits_.idle_ns),
              is_old_first ? Wheel::Why::kOld : Wheel::Why::kIdle);
  active_++;
  counts_.created++;
  return slot;
}

Table::Deadline Table::deadline(const Flow& flow) const noexcept {
  const int64_t idle = flow.last_ns() + (flow.is_closed() ? limits_.linger_ns : limits_.idle_ns);
  if (!flow.has_packets()) return {idle, Wheel::Why::kIdle};
  const int64_t old = flow.first_ns() + limits_.active_ns;
  return old < idle ? Deadline{old, Wheel::Why::kOld} : Deadline{idle, Wheel::Why::kIdle};
}

uint64_t Table::hash_of(uint32_t slot) const noexcept {
  Key key = flows_[slot].key;
  key.words[5] = key.words[5] << 8 >> 8;  // without the state
  return hash_(key);
}

void Table::hang_anew(uint32_t slot) noexcept {
  wheel_.take(sides_, slot);
  const Deadline due = deadline(flows_[slot]);
  wheel_.hang(sides_, slot, due.at, due.why);
}

void Table::record(uint32_t slot, Ended why) {
  if (!flows_[slot].has_packets()) {
    counts_.quiet++;
    return;
  }
  counts_.records[static_cast<size_t>(why)]++;
  records_.add(flows_[slot], sides_[slot], why, factors_[flows_[slot].key.rate()], epoch_ns_, firsts_of(slot));
}

void Table::keep_payload(uint32_t slot, uint32_t way, const std::byte* payload, size_t bytes) noexcept {
  std::byte* const first = firsts_of(slot) + way * records_.beginning_bytes();
  if (*first != std::byte{0}) return;
  const size_t kept = std::min<size_t>(bytes, limits_.payload_bytes);
  std::memcpy(first + 1, payload, kept);
  *first = static_cast<std::byte>(kept);
}

/// What was told is not told again: the counters begin anew, what is known of the flow stays.
void Table::split(uint32_t slot) {
  Flow& flow = flows_[slot];
  Side& side = sides_[slot];
  record(slot, Ended::kActive);
  for (Direction& way : flow.way) {
    const Direction was = way;
    way = {};
    way.last_ns = was.last_ns;
    way.next_sequence = was.next_sequence;
    way.gap_from = was.gap_from;
    way.gap_to = was.gap_to;
  }
  flow.server_rtt_us = flow.client_rtt_us = 0;
  side.icmp_errors = 0;
  if (side.part < UINT16_MAX) side.part++;
  hang_anew(slot);
}

void Table::end(uint32_t slot, Ended why) {
  record(slot, why);
  if (sink_ != nullptr) [[unlikely]]
    sink_->ended(flows_[slot], slot);
  wheel_.take(sides_, slot);
  index_.erase(hash_of(slot), slot);
  flows_[slot].id = 0;
  sides_[slot].next = free_;
  free_ = slot;
  active_--;
}

Ended Table::ended(const Flow& flow, Ended otherwise) noexcept {
  if ((flow.state() & kReset) != 0) return Ended::kRst;
  return flow.is_finished() ? Ended::kFin : otherwise;
}

void Table::turn(int64_t now) {
  const int64_t tick = Wheel::tick_of(now);
  if (tick < wheel_.tick()) {
    // Packets of an earlier time are told in their flows, and do not turn the clock back; much earlier ones do.
    if ((wheel_.tick() - tick) << Wheel::kTickBits > limits_.idle_ns) wheel_.set_tick(tick);
    return;
  }
  const int64_t turns = std::min<int64_t>(tick - wheel_.tick(), Wheel::kBuckets);
  for (int64_t at = tick - turns; at < tick; at++) {
    wheel_.set_tick(at + 1);
    const auto bucket = static_cast<uint32_t>(at & (Wheel::kBuckets - 1));
    empty_bucket(bucket, Wheel::Why::kIdle, now);
    empty_bucket(bucket, Wheel::Why::kOld, now);
  }
  wheel_.set_tick(tick);
}

/// WHY in steps: flows that end were not heard of for long, so each is fetched while those before it end.
void Table::empty_bucket(uint32_t bucket, Wheel::Why why, int64_t now) {
  std::array<uint32_t, 16> slots;
  // What is hung up again goes in front of this list, or into another one.
  for (uint32_t next = wheel_.head(bucket, why); next != Wheel::kNone;) {
    size_t count = 0;
    for (; count < slots.size() && next != Wheel::kNone; next = sides_[next].next) {
      slots[count++] = next;
      fetch(&flows_[next]);
      fetch(&flows_[next].way[0]);
      fetch(&flows_[next].way[1]);
    }
    for (size_t i = 0; i < count; i++) index_.fetch(hash_of(slots[i]));
    for (size_t i = 0; i < count; i++) look_at_due(slots[i], now);
  }
}

void Table::look_at_due(uint32_t slot, int64_t now) {
  const Flow& flow = flows_[slot];
  const Deadline due = deadline(flow);
  // One that was heard of last long after now is of a clock that was wrong.
  const bool is_of_future = flow.last_ns() > now + limits_.idle_ns + limits_.active_ns;
  if (due.at > now && !is_of_future) {
    wheel_.take(sides_, slot);
    wheel_.hang(sides_, slot, due.at, due.why);
  } else if (due.why == Wheel::Why::kOld && !is_of_future) {
    split(slot);
  } else {
    end(slot, ended(flow, Ended::kIdle));
  }
}

bool Table::evict() { return evict_of(Wheel::Why::kIdle) || evict_of(Wheel::Why::kOld); }

/// The one that has been idle longest, to the tick. Those that packets came for since they were hung up are hung up
/// anew, which those packets pay for.
bool Table::evict_of(Wheel::Why why) {
  for (;;) {
    const uint32_t bucket = wheel_.first(why);
    if (bucket == Wheel::kNone) return false;
    const uint32_t slot = wheel_.head(bucket, why);
    const Deadline due = deadline(flows_[slot]);
    const int64_t ahead = Wheel::tick_of(due.at) - wheel_.tick();
    const auto hung = static_cast<int64_t>((bucket - static_cast<uint32_t>(wheel_.tick())) & (Wheel::kBuckets - 1));
    const bool is_current = due.why == why && (ahead <= hung || hung == Wheel::kBuckets - 1);
    if (is_current) {
      end(slot, ended(flows_[slot], Ended::kEvicted));
      return true;
    }
    wheel_.take(sides_, slot);
    wheel_.hang(sides_, slot, due.at, due.why);
  }
}

void Table::flush() {
  constexpr uint32_t kAhead = 16;
  for (uint32_t slot = 0; slot < used_ && active_ > 0; slot++) {
    if (slot + kAhead < used_) index_.fetch(hash_of(slot + kAhead));
    if (flows_[slot].id != 0) end(slot, ended(flows_[slot], Ended::kFlushed));
  }
}

}  // namespace ringtap::flow
