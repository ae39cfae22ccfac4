#include "backends/dpdk/module/poller.h"

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

#include "core/thread.h"

namespace ringtap::dpdk {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kSpins = 256;      // empty polls before the first sleep
constexpr long kSleepStepNs = 2'000;  // each sleep is so much longer than the one before
constexpr long kLongestSleepNs = 100'000;
// After so many sleeps without a packet, a quarter of a second or more. WHY: to wake up costs 30 µs of CPU on a
// virtual machine, however short the sleep; an eighth as often, an idle capture takes a few per cent of a core there.
constexpr uint32_t kSilentSleeps = 2500;
constexpr long kSilentSleepNs = 800'000;
constexpr auto kGoneInterval = std::chrono::milliseconds(250);

void copy(const rte_mbuf* packet, std::byte* to) noexcept {
  for (; packet != nullptr; packet = packet->next) {
    std::memcpy(to, rte_pktmbuf_mtod(packet, const std::byte*), packet->data_len);
    to += packet->data_len;
  }
}

}  // namespace

Poller::Poller(const Port& port, std::shared_ptr<const MbufFilter> filter, PollSettings settings)
    : port_(port),
      filter_(std::move(filter)),
      settings_(settings),
      base_(port.memory().region()->base()),
      pool_(port.memory().pool()),
      ring_(port.ring_size()),
      joined_(port.memory().joined_offset(),
              static_cast<uint32_t>(port.memory().region()->bytes()) - port.memory().joined_offset()),
      clock_(port),
      own_flags_(RTE_MBUF_F_RX_RSS_HASH | clock_.flag()) {}

Result<Ok> Poller::start() {
  wake_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_) return system_error(Code::kSystem, "no event to wake the reader with", "eventfd", errno);
  auto thread = start_thread([this] { run(); });
  if (!thread) {
    Error error = thread.error();
    error.message = port_.settings().uri + ": " + error.message + " to poll the port with";
    return error;
  }
  thread_ = *std::move(thread);
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
    // WHY no fence: it would wait until the reader's core has given up every line that was just written. A reader that
    // is missed here, because it went to sleep meanwhile, is seen the next time.
    if (ring_.published() > slept_at_.load(std::memory_order_relaxed)) wake();
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
    const timespec nap{0, sleeps > kSilentSleeps ? kSilentSleepNs : std::min(kLongestSleepNs, sleeps * kSleepStepNs)};
    nanosleep(&nap, nullptr);
  }
  if (registered) rte_thread_unregister();
}

// Moves one burst of a queue into the ring. Returns how many packets the driver had.
uint32_t Poller::poll(uint16_t queue) noexcept {
  std::array<rte_mbuf*, kBurst> packets;
  const uint32_t count = rte_eth_rx_burst(port_.id(), queue, packets.data(), kBurst);
  if (count == 0) return 0;
  clock_.read();
  const std::span burst(packets.data(), count);
  const Burst common{.time_ns = clock_.now_ns(), .queue = queue};
  if (!plain(burst)) {
    take_each(burst, common);
    return count;
  }
  for (rte_mbuf* packet : burst) ring_.push({static_cast<uint32_t>(place(packet)), packet->pkt_len}, packet);
  ring_.publish(common, {});
  return count;
}

// Whether all of a burst goes into the ring as it is, and there is nothing to say of one packet but where it lies.
bool Poller::plain(std::span<rte_mbuf* const> burst) const noexcept {
  if (filter_ || ring_.room() < burst.size()) return false;
  return std::all_of(burst.begin(), burst.end(),
                     [&](const rte_mbuf* packet) { return lendable(packet) && (packet->ol_flags & own_flags_) == 0; });
}

void Poller::take_each(std::span<rte_mbuf*> burst, const Burst& common) noexcept {
  std::array<Extra, kBurst> extras;
  bool special = false;
  uint32_t taken = 0;
  uint32_t refused = 0;
  uint32_t dropped = 0;
  for (rte_mbuf* packet : burst) {
    Extra extra{.time_ns = common.time_ns, .keep = UINT32_MAX, .hash = 0, .flags = 0};
    if (filter_ && (packet->nb_segs == 1 || filter_->compiled())) extra.keep = filter_->keep(packet);
    if (extra.keep == 0) {
      burst[refused++] = packet;
      continue;
    }
    if ((packet->ol_flags & own_flags_) != 0) {
      extra.time_ns = clock_.stamp(packet, extra.flags);
      if ((packet->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0) extra.hash = packet->hash.rss;
      special = true;
    }
    special |= extra.keep < packet->pkt_len;
    if (ring_.room() == 0 || !take(packet, extra)) {
      dropped++;
      burst[refused++] = packet;
      continue;
    }
    special |= extra.flags != 0;
    extras[taken++] = extra;
  }
  // In this order: what is counted as pending must have been received.
  const uint32_t filtered = refused - dropped;
  if (filtered != 0) filtered_.fetch_add(filtered, std::memory_order_release);
  if (dropped != 0) dropped_.fetch_add(dropped, std::memory_order_release);
  if (refused != 0) rte_pktmbuf_free_bulk(burst.data(), refused);
  if (taken != 0) ring_.publish(common, {extras.data(), special ? taken : 0});
}

// Whether a packet can be read where it lies, and goes back to the pool as it is. Drivers may attach memory of their
// own to what they take from the pool.
bool Poller::lendable(const rte_mbuf* packet) const noexcept {
  return packet->nb_segs == 1 && packet->pool == pool_ && rte_mbuf_refcnt_read(packet) == 1 &&
         place(packet) < joined_.offset();
}

// Where in the region a packet lies.
size_t Poller::place(const rte_mbuf* packet) const noexcept {
  return static_cast<size_t>(rte_pktmbuf_mtod(packet, const std::byte*) - base_);
}

// Into the ring with one packet, as it lies if it can. False when there is no room; the packet stays the caller's.
bool Poller::take(rte_mbuf* packet, Extra& extra) noexcept {
  const uint32_t bytes = packet->pkt_len;
  if (lendable(packet)) {
    ring_.push({static_cast<uint32_t>(place(packet)), bytes}, packet);
    return true;
  }
  if (packet->nb_segs == 1 && bytes + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(pool_)) {
    rte_mbuf* own = rte_pktmbuf_alloc(pool_);
    if (own == nullptr) return false;
    copy(packet, base_ + place(own));
    ring_.push({static_cast<uint32_t>(place(own)), bytes}, own);
  } else {
    const auto piece = joined_.take(bytes);
    if (!piece) return false;
    copy(packet, base_ + piece->offset);
    extra.flags |= kFlagFragmented;
    ring_.push_joined({piece->offset, bytes}, piece->bytes);
  }
  rte_pktmbuf_free(packet);
  return true;
}

void Poller::reclaim() noexcept {
  for (uint32_t left = ring_.reclaimable(); left > 0;) {
    const auto back = ring_.reclaim(left);
    left -= static_cast<uint32_t>(back.size());
    if (ring_.has_passed_on()) {
      for (const auto& packet : back) reclaim_shared(&packet);
      continue;
    }
    for (auto at = back.begin(); at != back.end();) {
      // WHY not rte_pktmbuf_free_bulk(): it looks at each packet again, in lines that nothing else here touches. They
      // are as a pool wants them: in one piece, with one owner.
      const auto joined = std::find(at, back.end(), nullptr);
      if (joined != at) rte_mempool_put_bulk(pool_, reinterpret_cast<void* const*>(&*at), joined - at);
      if (joined == back.end()) break;
      joined_.give_back(ring_.joined_bytes(&*joined));
      at = joined + 1;
    }
  }
}

/// One that may have another owner, who sends it.
void Poller::reclaim_shared(rte_mbuf* const* packet) noexcept {
  if (*packet == nullptr) {
    joined_.give_back(ring_.joined_bytes(packet));
  } else if (ring_.retrieve(packet)) {
    rte_pktmbuf_free(*packet);
  } else {
    rte_mempool_put(pool_, *packet);
  }
}

bool Poller::sleep() noexcept {
  slept_at_.store(ring_.position(), std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return ring_.unread() == 0 && failure() == nullptr;
}

void Poller::awake() noexcept {
  slept_at_.exchange(kAwake, std::memory_order_acq_rel);
  // WHY always: the thread may write only after a reader that looked again has gone on, which leaves the event set.
  uint64_t count = 0;
  while (read(wake_.get(), &count, sizeof count) < 0 && errno == EINTR) continue;
}

void Poller::wake() noexcept {
  if (slept_at_.exchange(kAwake, std::memory_order_acq_rel) == kAwake) return;
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) continue;
}

bool Poller::port_is_gone() noexcept {
  const auto what = port_.removed();
  if (!what) return false;
  failure_ = {.code = Code::kInterfaceGone, .message = port_.settings().uri + ": " + *what + " was removed"};
  failed_.store(true, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  wake();
  return true;
}

}  // namespace ringtap::dpdk
