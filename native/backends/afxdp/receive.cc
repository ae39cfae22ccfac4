// Receiving: frames from the RX rings to the reader, and back to the fill rings.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "backends/afxdp/source.h"
#include "core/link_type.h"

namespace ringtap::afxdp {

namespace {

constexpr uint32_t kAhead = 8;  // packets that are fetched into the cache before their turn

}  // namespace

RxBatch AfXdp::receive(DescBlock& block, uint32_t max) noexcept {
  if (!link_) return {.rx = Rx::kEof};
  const bool check = std::chrono::steady_clock::now() >= next_check_;
  // Nobody waits for news but a reader that found nothing, twice.
  if (!failed_ && (check || idle_)) hear_of_link();
  if (!failed_ && check) look_after_program();
  idle_ = false;
  if (under_way_ > 0) take_back_sent();
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  max = std::min(max, settings_.batch_size);
  const auto count = static_cast<uint32_t>(queues_.size());
  user_filter_.renew();
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t index = turn_ + i < count ? turn_ + i : turn_ + i - count;
    Queue& queue = *queues_[index];
    if (queue.xsk.rx.produced() == queue.consumed) continue;
    const uint32_t number = leases_.next();
    Lent& lent = lent_[number];
    lent.queue = index;
    const uint32_t packets = walk(queue, block, max, lent);
    if (packets == 0) continue;
    turn_ = index + 1 < count ? index + 1 : 0;
    gather_.took(packets, packets);
    return {
        .rx = Rx::kOk, .count = packets, .segment = 0, .link_type = kLinkEthernet, .lease = *leases_.acquire(number)};
  }
  if (failed_) return {.rx = Rx::kError};
  if (std::exchange(noticed_, false)) return {.rx = Rx::kNotice};
  for (const auto& queue : queues_) {
    // WHY here, too: a driver that found no frame may say so just after give_back() looked.
    if (settings_.busy_poll_us != 0 || queue->xsk.fill.needs_wakeup()) queue->xsk.kick_rx();
  }
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  idle_ = !gather_.emptied(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
  return {.rx = Rx::kAgain};
}

uint32_t AfXdp::walk(Queue& queue, DescBlock& block, uint32_t max, Lent& lent) noexcept {
  const uint32_t produced = queue.xsk.rx.produced();
  const std::byte* base = umem_.region->base();
  const bool stamped = program_->stamps && program_->stamps->intact();
  if (stamped) observe_clock();
  const int64_t to_epoch = clock_.ns() + stamp_base_ns_;
  const int64_t now = stamped ? 0 : clock_ns(CLOCK_REALTIME) - info_.epoch_ns;
  const bool judged = user_filter_.judged() != Judged::kNone;
  const uint32_t most_kept = std::min(user_filter_.kept(), info_.snaplen);
  const auto queue_id = static_cast<uint16_t>(queue.xsk.queue());
  max = std::min(max, queue.frames.most());
  const uint32_t filled = queue.filled;
  uint32_t position = queue.consumed;
  uint32_t packets = 0;
  uint64_t bytes = 0;
  uint64_t joined = 0;
  // WHY two lines: a stamp ends where its packet begins, and that is where a line does.
  const auto fetch = [&](uint32_t at) {
    const std::byte* start = base + queue.xsk.rx[at].addr;
    __builtin_prefetch(start - kStampBytes);
    __builtin_prefetch(start);
  };
  for (uint32_t i = 0; i < std::min(kAhead, produced - position); i++) fetch(position + i);
  while (packets < max && position != produced) {
    // SAFETY: the RX ring is the kernel's and outside the memory that JS sees; addresses lie in the UMEM.
    const xdp_desc& entry = queue.xsk.rx[position];
    PacketDesc packet{.offset = static_cast<uint32_t>(entry.addr), .caplen = entry.len, .wirelen = entry.len};
    const std::byte* head = base + entry.addr;
    if (produced - position > kAhead) fetch(position + kAhead);
    const bool whole = (entry.options & XDP_PKT_CONTD) == 0;
    if (whole) {
      position++;
    } else if (!join(queue, position, produced, lent, packet)) {
      break;
    }
    packet.time_ns = now;
    if (stamped) stamp(packet, program_->stamps->read(head), to_epoch);
    uint32_t keep = most_kept;
    if (judged) {
      keep = std::min(keep, user_filter_.run(base + packet.offset, packet.wirelen, packet.caplen));
      if (user_filter_.used_up()) max = 0;  // this one was the last
      if (keep == 0) {
        if (whole) {
          refill(queue, entry.addr);
        } else {
          joined_slots_.give(lent.joined.back());
          lent.joined.pop_back();
        }
        continue;
      }
    }
    if (whole) lent.addresses.push_back(entry.addr);
    block.set_basic(packets, packet.offset, std::min(packet.caplen, keep), packet.wirelen, packet.time_ns,
                    packet.flags);
    block.queue[packets] = queue_id;
    bytes += packet.wirelen;
    joined += (packet.flags & kFlagFragmented) != 0;
    packets++;
  }
  queue.consumed = position;
  queue.xsk.rx.retire(position);
  counted_.delivered += packets;
  counted_.delivered_bytes += bytes;
  counted_.filtered = user_filter_.filtered();
  counted_.joined += joined;
  if (queue.filled != filled) publish(queue);
  queue.frames.take(static_cast<uint32_t>(lent.addresses.size()));
  joined_quota_.take(static_cast<uint32_t>(lent.joined.size()));
  return packets;
}

void AfXdp::stamp(PacketDesc& packet, const std::optional<Stamp>& stamp, int64_t to_epoch) const noexcept {
  if (!stamp) {
    packet.time_ns = clock_ns(CLOCK_REALTIME) - info_.epoch_ns;
  } else if (stamp->clock == static_cast<uint32_t>(StampClock::kHardware)) {
    packet.time_ns = stamp->time_ns - info_.epoch_ns;
    packet.flags |= kFlagHardwareTime;
  } else {
    packet.time_ns = stamp->time_ns + to_epoch;
  }
}

// Puts a packet of several fragments together, which are free then. False when its end has not arrived, or the batch
// has all the slots that it may have: later then.
bool AfXdp::join(Queue& queue, uint32_t& position, uint32_t produced, Lent& lent, PacketDesc& packet) noexcept {
  uint32_t end = position;
  uint64_t total = 0;
  for (bool more = true; more; end++) {
    if (end == produced) return false;
    total += queue.xsk.rx[end].len;
    more = (queue.xsk.rx[end].options & XDP_PKT_CONTD) != 0;
  }
  if (lent.joined.size() == joined_quota_.most()) return false;
  const uint32_t slot = joined_slots_.take();
  lent.joined.push_back(slot);
  const size_t at = joined_at_ + size_t{slot} * joined_bytes_;
  uint32_t copied = 0;
  for (; position != end; position++) {
    const xdp_desc& entry = queue.xsk.rx[position];
    const uint32_t part = std::min(entry.len, joined_bytes_ - copied);
    std::memcpy(umem_.region->base() + at + copied, umem_.region->base() + entry.addr, part);
    copied += part;
    refill(queue, entry.addr);
  }
  packet = {.offset = static_cast<uint32_t>(at),
            .caplen = copied,
            .wirelen = static_cast<uint32_t>(total),
            .flags = kFlagFragmented};
  return true;
}

void AfXdp::refill(Queue& queue, uint64_t address) noexcept {
  queue.xsk.fill[queue.filled++] = address & ~uint64_t{settings_.frame_bytes - 1};
}

void AfXdp::publish(const Queue& queue) noexcept {
  queue.xsk.fill.publish(queue.filled);
  if (queue.xsk.fill.needs_wakeup()) queue.xsk.kick_rx();
}

void AfXdp::give_back(Lent& lent) noexcept {
  Queue& queue = *queues_[lent.queue];
  for (const uint64_t address : lent.addresses) {
    if ((address & kPassedOn) == 0 || passed_on_.released(frame_of(address))) refill(queue, address & ~kPassedOn);
  }
  publish(queue);
  queue.frames.give(static_cast<uint32_t>(lent.addresses.size()));
  joined_quota_.give(static_cast<uint32_t>(lent.joined.size()));
  for (const uint32_t slot : lent.joined) joined_slots_.give(slot);
  lent.addresses.clear();
  lent.joined.clear();
}

bool AfXdp::release(Lease lease) noexcept {
  const auto number = leases_.release(lease);
  if (!number) return false;
  if (!link_) return true;
  give_back(lent_[*number]);
  if (under_way_ > 0) take_back_sent();
  return true;
}

void AfXdp::observe_clock() noexcept {
  const int64_t before = clock_ns(CLOCK_MONOTONIC);
  const int64_t real = clock_ns(CLOCK_REALTIME);
  clock_.observe(before, real, clock_ns(CLOCK_MONOTONIC));
}

}  // namespace ringtap::afxdp
