#include "backends/dpdk/module/poller.h"

#include <net/if.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ringtap::dpdk {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kSpins = 256;  // empty polls before the first sleep
constexpr long kLongestSleepNs = 100'000;
// After so many sleeps without a packet, a quarter of a second or more. WHY: to wake up costs 30 µs of CPU on a
// virtual machine, however short the sleep; an eighth as often, an idle capture takes a few per cent of a core there.
constexpr uint32_t kSilentSleeps = 2500;
constexpr long kSilentSleepNs = 800'000;
constexpr auto kGoneInterval = std::chrono::milliseconds(250);

}  // namespace

Poller::Poller(const Port& port, std::shared_ptr<const PacketFilter> filter, PollSettings settings)
    : port_(port),
      filter_(std::move(filter)),
      settings_(settings),
      base_(port.memory().region()->base()),
      pool_(port.memory().pool()),
      ring_(port.ring_size()),
      joined_(port.memory().joined_offset(),
              static_cast<uint32_t>(port.memory().region()->bytes()) - port.memory().joined_offset()),
      clock_(port) {}

Result<Ok> Poller::start() {
  wake_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_) return system_error(Code::kSystem, "no event to wake the reader with", "eventfd", errno);
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "ringtap-dpdk");
  if (settings_.core < 0) return Ok{};
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(settings_.core, &set);
  if (const int err = pthread_setaffinity_np(thread_.native_handle(), sizeof set, &set); err != 0) {
    stop();
    return system_error(
        Code::kBadOption,
        port_.settings().uri + ": the polling thread cannot run on core " + std::to_string(settings_.core),
        "pthread_setaffinity_np", err);
  }
  return Ok{};
}

void Poller::stop() noexcept {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_relaxed);
  thread_.join();
  ring_.abandon();
  while (ring_.holds_any()) reclaim();
}

void Poller::run() noexcept {
  // An lcore of its own gives the thread a cache in each pool. Without one, everything works more slowly.
  const bool registered = rte_thread_register() == 0;
  prctl(PR_SET_TIMERSLACK, 1);
  uint32_t idle = 0;
  auto next_look = Clock::now() + kGoneInterval;
  while (!stopping_.load(std::memory_order_relaxed)) {
    reclaim();
    uint32_t received = 0;
    for (uint16_t queue = 0; queue < port_.queues(); queue++) received += poll(queue);
    if (received != 0) {
      idle = 0;
      continue;
    }
    idle++;
    if (settings_.busy ? (idle & 0xffff) == 0 : idle > kSpins) {
      if (Clock::now() >= next_look) {
        if (port_is_gone()) break;
        next_look = Clock::now() + kGoneInterval;
      }
    }
    if (settings_.busy || idle <= kSpins) continue;
    const uint32_t sleeps = idle - kSpins;
    const timespec nap{0,
                       sleeps > kSilentSleeps ? kSilentSleepNs : std::min<long>(kLongestSleepNs, long{sleeps} * 5'000)};
    nanosleep(&nap, nullptr);
  }
  if (registered) rte_thread_unregister();
}

// Moves one burst of a queue into the ring. Returns how many packets the driver had.
uint32_t Poller::poll(uint16_t queue) noexcept {
  std::array<rte_mbuf*, kBurst> burst;
  std::array<rte_mbuf*, kBurst> unwanted;
  const uint32_t count = rte_eth_rx_burst(port_.id(), queue, burst.data(), kBurst);
  if (count == 0) return 0;
  clock_.read();
  uint32_t refused = 0;
  uint32_t filtered = 0;
  uint32_t dropped = 0;
  for (uint32_t i = 0; i < count; i++) {
    rte_mbuf* packet = burst[i];
    Entry entry{.length = packet->pkt_len, .keep = UINT32_MAX, .queue = queue};
    if (filter_ && (packet->nb_segs == 1 || filter_->compiled())) {
      entry.keep = filter_->keep(packet);
      if (entry.keep == 0) {
        filtered++;
        unwanted[refused++] = packet;
        continue;
      }
    }
    bool hardware = false;
    entry.time_ns = clock_.stamp(packet, hardware);
    if (hardware) entry.flags |= kFlagHardwareTime;
    if ((packet->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0) entry.hash = packet->hash.rss;
    if (ring_.room() == 0 || !take(packet, entry)) {
      dropped++;
      unwanted[refused++] = packet;
    }
  }
  // In this order: what is counted as pending must have been received.
  if (filtered != 0) filtered_.fetch_add(filtered, std::memory_order_release);
  if (dropped != 0) dropped_.fetch_add(dropped, std::memory_order_release);
  if (refused != 0) rte_pktmbuf_free_bulk(unwanted.data(), refused);
  if (filtered + dropped < count) {
    ring_.publish();
    wake();
  }
  return count;
}

// Into the ring with one packet, as it lies if it can. False when there is no room; the packet stays the caller's.
bool Poller::take(rte_mbuf* packet, Entry entry) noexcept {
  if (packet->nb_segs != 1 || packet->pool != pool_) return take_copy(packet, entry);
  entry.offset = static_cast<uint32_t>(rte_pktmbuf_mtod(packet, std::byte*) - base_);
  ring_.push(entry, {.mbuf = packet, .joined_bytes = 0});
  return true;
}

// A packet in fragments, or in memory that is not ours.
bool Poller::take_copy(rte_mbuf* packet, Entry entry) noexcept {
  const uint32_t bytes = packet->pkt_len;
  Backing backing{};
  if (packet->nb_segs == 1 && bytes + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(pool_)) {
    backing.mbuf = rte_pktmbuf_alloc(pool_);
    if (backing.mbuf == nullptr) return false;
    entry.offset = static_cast<uint32_t>(rte_pktmbuf_mtod(backing.mbuf, std::byte*) - base_);
  } else {
    const auto piece = joined_.take(bytes);
    if (!piece) return false;
    entry.offset = piece->offset;
    backing.joined_bytes = piece->bytes;
    entry.flags |= kFlagFragmented;
  }
  std::byte* to = base_ + entry.offset;
  for (const rte_mbuf* part = packet; part != nullptr; part = part->next) {
    std::memcpy(to, rte_pktmbuf_mtod(part, const std::byte*), part->data_len);
    to += part->data_len;
  }
  ring_.push(entry, backing);
  rte_pktmbuf_free(packet);
  return true;
}

void Poller::reclaim() noexcept {
  std::array<rte_mbuf*, size_t{2} * kBurst> back;
  for (uint32_t left = ring_.reclaimable(); left > 0;) {
    uint32_t count = 0;
    for (; left > 0 && count < back.size(); left--) {
      const Backing& backing = ring_.reclaim();
      if (backing.mbuf != nullptr) {
        back[count++] = backing.mbuf;
      } else {
        joined_.give_back(backing.joined_bytes);
      }
    }
    rte_pktmbuf_free_bulk(back.data(), count);
  }
}

bool Poller::sleep(uint64_t position) noexcept {
  sleeping_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return ring_.written() == position && failure() == nullptr;
}

void Poller::awake() noexcept {
  if (sleeping_.exchange(false, std::memory_order_acq_rel)) return;
  uint64_t count = 0;
  while (read(wake_.get(), &count, sizeof count) < 0 && errno == EINTR) continue;
}

void Poller::wake() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!sleeping_.load(std::memory_order_relaxed) || !sleeping_.exchange(false, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) continue;
}

bool Poller::port_is_gone() noexcept {
  const std::string& interface = port_.interface();
  const bool gone =
      rte_eth_dev_is_removed(port_.id()) == 1 || (!interface.empty() && if_nametoindex(interface.c_str()) == 0);
  if (!gone) return false;
  failure_ = {.code = Code::kInterfaceGone,
              .message = port_.settings().uri + ": " + (interface.empty() ? "the port" : "the interface " + interface) +
                         " was removed"};
  failed_.store(true, std::memory_order_release);
  wake();
  return true;
}

}  // namespace ringtap::dpdk
