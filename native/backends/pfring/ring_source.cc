#include "backends/pfring/ring_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/clock.h"
#include "core/link_type.h"
#include "linux/hardware_stamps.h"
#include "linux/interface.h"
namespace ringtap::pfring {

namespace {

constexpr uint32_t kMaxLeases = 128;
// How many packets may be rejected in a row before receive() comes back: it must not go on for ever.
constexpr uint32_t kFruitless = 4096;
constexpr uint32_t kPrefetchAhead = 2048;

std::vector<int> indexes_of(const std::vector<std::string>& interfaces) {
  const UniqueFd fd = query_socket();
  std::vector<int> indexes;
  for (const std::string& name : interfaces) indexes.push_back(interface_index(fd.get(), name));
  return indexes;
}

}  // namespace

Result<std::unique_ptr<Source>> RingSource::open(Settings settings) {
  auto socket = RingSocket::open(settings, settings.snaplen);
  if (!socket) return std::move(socket).error();
  return std::unique_ptr<Source>(new RingSource(std::move(settings), *std::move(socket)));
}

RingSource::RingSource(Settings settings, RingSocket socket) : settings_(std::move(settings)), leases_(kMaxLeases) {
  info_.link_type = kLinkEthernet;
  info_.notes = settings_.notes;
  info_.epoch_ns = epoch_now_ns();
  info_.snaplen = settings_.snaplen;
  info_.max_leases = kMaxLeases;
  info_.mode = "ring";
  info_.timestamp_source = "kernel";
  if (settings_.hardware_time) {
    choose_hardware_stamps(settings_.target.names, settings_.target.text, settings_.purpose, info_);
  }
  use(std::move(socket));
}

void RingSource::use(RingSocket socket) {
  socket_.emplace(std::move(socket));
  ring_.emplace(socket_->region());
  info_.segments = {ring_->segment()};
}

Result<FilterPlacement> RingSource::set_filter(std::shared_ptr<Filter> filter) {
  auto program = filter->program(static_cast<int>(info_.link_type));
  if (!program) return std::move(program).error();
  if (settings_.snaplen < kMaxCaplen) {
    // What is decided here needs whole packets: the module's answer to that is a ring of its own.
    info_.segments.clear();
    ring_.reset();
    socket_.reset();
    auto socket = RingSocket::open(settings_, kMaxCaplen);
    if (!socket) return std::move(socket).error();
    use(*std::move(socket));
  }
  return filter_.place(**program, module_filter(socket_->fd()));
}

Result<Ok> RingSource::start() {
  if (settings_.cluster != 0) {
    if (const int err = join_cluster(socket_->fd(), settings_.cluster, settings_.cluster_mode); err != 0) {
      return system_error(Code::kSystem, settings_.uri + ": cannot join cluster " + std::to_string(settings_.cluster),
                          "setsockopt(SO_ADD_TO_CLUSTER)", err);
    }
  }
  const std::vector<std::string> interfaces =
      settings_.target.any() ? std::vector<std::string>{} : settings_.target.names;
  if (settings_.promiscuous && !interfaces.empty()) {
    if (const int err = promiscuous_.enter(indexes_of(interfaces)); err != 0) {
      info_.notes.push_back("no promiscuous mode: " + std::string(std::strerror(err)));
    }
  }
  if (auto active = socket_->activate(); !active) return active;
  auto watch = Watch::start(socket_->fd(), interfaces, settings_.uri);
  if (!watch) return std::move(watch).error();
  watch_.emplace(*std::move(watch));
  return start_tx();
}

Result<Ok> RingSource::start_tx() {
  if (settings_.target.any()) return Ok{};
  auto link = link_of(settings_.target.names.front(), settings_.uri);
  if (!link) return std::move(link).error();
  tx_.emplace(*std::move(link), send_through(socket_->fd()));
  return Ok{};
}

RxBatch RingSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (!socket_) return {.rx = Rx::kEof};
  if (failed_) return {.rx = Rx::kError};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  max = std::min(max, block.capacity());
  Walk walk = ring_->walk();
  if (!walk.has_packets()) {
    if (leases_.outstanding() > 0 && ring_->blocked(leases_.freed())) return {.rx = Rx::kNoBuffer};
    if (watch_) {
      if (auto gone = watch_->check()) return {.rx = fail(*std::move(gone))};
    }
    return {.rx = Rx::kAgain};
  }
  const uint32_t count =
      filter_.judged() != Judged::kNone ? fill<true>(block, max, walk) : fill<false>(block, max, walk);
  ring_->pass(walk);
  if (count > 0) {
    return {
        .rx = Rx::kOk, .count = count, .segment = 0, .link_type = info_.link_type, .lease = leases_.lend(walk.at())};
  }
  leases_.skip(walk.at());
  ring_->free_to(leases_.freed());
  if (!broken_) return {.rx = Rx::kAgain};
  return {.rx = fail({.code = Code::kRingCorrupt,
                      .message = settings_.uri + ": the slot at offset " + std::to_string(walk.at()) +
                                 " of the ring cannot be one"})};
}

// Fills descriptors from the walk until it, or `max`, is used up.
template <bool kJudged>
uint32_t RingSource::fill(DescBlock& block, uint32_t max, Walk& walk) noexcept {
  const std::byte* slots = info_.segments.front().base;
  const uint32_t snaplen = info_.snaplen;
  const bool hardware_time = settings_.hardware_time;
  const int64_t epoch_ns = info_.epoch_ns;
  const bool received_only = settings_.direction == Direction::kIn;
  uint32_t count = 0;
  uint32_t fruitless = 0;
  uint64_t bytes = 0;
  filter_.renew();
  while (count < max && walk.has_packets() && !(kJudged && filter_.used_up())) {
    const std::optional<Slot> slot = walk.peek(hardware_time);
    if (!slot) {
      broken_ = true;
      break;
    }
    if (received_only && slot->outgoing) {
      walk.pop(*slot);
      ignored_++;
      if (++fruitless == kFruitless) break;
      continue;
    }
    // Two lines, because a small packet's slot hardly takes more.
    __builtin_prefetch(slots + slot->data + kPrefetchAhead);
    __builtin_prefetch(slots + slot->data + kPrefetchAhead + 64);
    uint32_t keep = snaplen;
    if constexpr (kJudged) keep = std::min(keep, filter_.keep(slots + slot->data, slot->wirelen, slot->caplen));
    walk.pop(*slot);
    if (kJudged && keep == 0) {
      if (++fruitless == kFruitless) break;
      continue;
    }
    const uint32_t flags =
        (slot->outgoing ? uint32_t{kFlagOutgoing} : 0) | (slot->hardware_time ? uint32_t{kFlagHardwareTime} : 0);
    block.set_basic(count, slot->data, std::min(slot->caplen, keep), slot->wirelen, slot->time_ns - epoch_ns, flags);
    block.hash[count] = slot->hash;
    bytes += slot->wirelen;
    count++;
  }
  delivered_bytes_ += bytes;
  delivered_ += count;
  return count;
}

bool RingSource::release(Lease lease) noexcept {
  if (!leases_.release(lease)) return false;
  if (ring_) ring_->free_to(leases_.freed());
  return true;
}

Readiness RingSource::readiness() const noexcept {
  if (!watch_) return {};
  return {.kind = Readiness::Kind::kFd, .fd = watch_->fd(), .gather_ms = settings_.gather_ms};
}

Rx RingSource::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
  return Rx::kError;
}

void RingSource::collect() const noexcept {
  if (!ring_) return;
  inserted_ = ring_->inserted();
  lost_ = ring_->lost();
}

Stats RingSource::stats() const noexcept {
  Stats stats;
  stats.delivered = delivered_;
  stats.delivered_bytes = delivered_bytes_;
  stats.filtered = filter_.filtered();
  collect();
  stats.dropped = lost_;
  stats.received = inserted_ - ignored_ + lost_;
  stats.pending = inserted_ - std::min(inserted_, stats.delivered + stats.filtered + ignored_);
  stats.drops = {{"ring", lost_}, {"nic", std::nullopt}};
  return stats;
}

void RingSource::close() noexcept {
  if (!socket_) return;
  socket_->silence();
  collect();
  watch_.reset();
  promiscuous_.leave();
  tx_.reset();
  info_.segments.clear();
  ring_.reset();
  socket_.reset();
}

}  // namespace ringtap::pfring
