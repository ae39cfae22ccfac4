#include "backends/afxdp/source.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/memory.h"

namespace ringtap::afxdp {

namespace {

constexpr uint32_t kEthernet = 1;
constexpr uint32_t kTxEntries = 1024;
constexpr uint32_t kJoinedSlots = 256;
constexpr uint32_t kLinkHeader = ETH_HLEN + 8;  // with two VLAN tags
constexpr uint32_t kXdpHeadroom = 256;
constexpr uint32_t kOnePage =
    3500;  // of a packet: the most that drivers put into a page together with what they keep there
constexpr uint32_t kMinFrames = 1024;  // the least that a short RLIMIT_MEMLOCK may leave
constexpr uint32_t kMaxLeases = 1024;
constexpr uint32_t kAhead = 8;  // packets that are fetched into the cache before their turn
constexpr auto kReleaseTime = std::chrono::seconds(2);
constexpr auto kWatchEvery = std::chrono::milliseconds(250);

Result<std::vector<uint32_t>> chosen_queues(const Options& options, const Device& device, const std::string& uri) {
  std::vector<uint32_t> queues;
  for (const double queue : options.list("queue")) queues.push_back(static_cast<uint32_t>(queue));
  if (queues.empty()) {
    for (uint32_t queue = 0; queue < device.queues; queue++) queues.push_back(queue);
  }
  for (const uint32_t queue : queues) {
    if (queue < device.queues) continue;
    const std::string there = device.queues == 1 ? "0 is the only one" : "0–" + std::to_string(device.queues - 1);
    return Error{
        .code = Code::kBadOption,
        .message = uri + ": queue " + std::to_string(queue) + " of " + device.name + " does not exist (" + there + ")",
        .hint = "See ethtool -l " + device.name};
  }
  return queues;
}

}  // namespace

Result<std::unique_ptr<Source>> AfXdp::open(const OpenRequest& request) {
  const Options& options = request.options;
  auto device = query_device(request.target, request.uri);
  if (!device) return std::move(device).error();
  if (!device->up) {
    return Error{.code = Code::kInterfaceDown,
                 .message = request.uri + ": interface \"" + request.target + "\" is down"};
  }
  auto queues = chosen_queues(options, *device, request.uri);
  if (!queues) return std::move(queues).error();

  Settings settings;
  settings.queues = *std::move(queues);
  settings.mode = options.text("mode", "auto");
  settings.zerocopy = options.text("zerocopy", "auto");
  settings.timestamp = options.text("timestamp", "auto");
  settings.frames = std::bit_ceil(static_cast<uint32_t>(options.integer("frames", 16384)));
  settings.frame_bytes = options.integer("frameBytes", 2048) > 2048 ? 4096 : 2048;
  settings.rx_entries = static_cast<uint32_t>(options.integer("rxRing"));
  settings.batch_size = static_cast<uint32_t>(options.integer("batchSize", 256));
  settings.busy_poll_us = static_cast<uint32_t>(options.integer("busyPoll"));
  settings.gather_ms = static_cast<uint32_t>(options.integer("timeoutMs", 1));
  settings.need_wakeup = options.flag("needWakeup", true);
  settings.huge_pages = options.flag("hugePages");
  settings.promiscuous = options.flag("promiscuous", true);
  settings.plan_only = request.plan_only;
  settings.cancelled = request.cancelled;
  if (settings.mode == "generic" && settings.zerocopy == "require") {
    return Error{.code = Code::kBadOption,
                 .message = request.uri + ": zerocopy=require contradicts mode=generic: only drivers copy nothing"};
  }

  std::unique_ptr<AfXdp> source(new AfXdp(request, *std::move(device), std::move(settings)));
  if (auto done = source->open_sockets(); !done) return std::move(done).error();
  return std::unique_ptr<Source>(std::move(source));
}

AfXdp::AfXdp(const OpenRequest& request, Device device, Settings settings)
    : uri_(request.uri), device_(std::move(device)), settings_(std::move(settings)) {
  info_.link_type = kEthernet;
  info_.snaplen = static_cast<uint32_t>(request.options.integer("snaplen", 262144));
  info_.has_queue = true;
  info_.mode = settings_.mode == "generic" ? "generic" : "native";
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  info_.epoch_ns = std::chrono::duration_cast<std::chrono::seconds>(now).count() * 1'000'000'000;
  info_.notes.push_back("packets that are captured are taken away from " + device_.name +
                        ": the host does not see them; with a filter only what matches is taken");
  multi_buffer_ = device_.mtu + kLinkHeader > std::min(settings_.frame_bytes - kXdpHeadroom, kOnePage);
}

Result<Ok> AfXdp::open_sockets() {
  const auto count = static_cast<uint32_t>(settings_.queues.size());
  tx_entries_ = std::min(kTxEntries, settings_.frames);
  MemlockLift memlock;
  for (;;) {
    MemoryRequest memory{.frames = settings_.frames + tx_entries_,
                         .frame_bytes = settings_.frame_bytes,
                         .huge_pages = settings_.huge_pages};
    if (multi_buffer_) {
      memory.joined_slots = kJoinedSlots;
      memory.joined_bytes = (device_.mtu + kLinkHeader + 63) / 64 * 64;
    }
    auto made = allocate(memory, uri_, info_.notes);
    if (!made) return std::move(made).error();
    joined_bytes_ = memory.joined_bytes;
    joined_at_ = made->joined_at;
    umem_ = {.region = made->region,
             .frames = memory.frames,
             .frame_bytes = memory.frame_bytes,
             .multi_buffer = multi_buffer_};

    const uint32_t per_queue = std::max(1u, settings_.frames / count);
    std::optional<Error> failed;
    for (const uint32_t queue : settings_.queues) {
      XskRequest request{.ifindex = device_.index, .queue = queue};
      request.fill_entries = std::bit_ceil(per_queue);
      request.rx_entries = settings_.rx_entries != 0 ? std::bit_ceil(settings_.rx_entries) : request.fill_entries;
      if (queues_.empty()) {
        request.tx_entries = tx_entries_;
      } else {
        request.shared_with = queues_.front()->xsk.fd();
      }
      auto xsk = Xsk::create(umem_, request, uri_);
      if (!xsk) {
        failed = std::move(xsk).error();
        break;
      }
      queues_.push_back(std::make_unique<Queue>(Queue{.xsk = *std::move(xsk)}));
    }
    if (!failed) break;
    queues_.clear();
    if (failed->err != ENOBUFS) return *std::move(failed);
    // The memory counts against RLIMIT_MEMLOCK, unless the process has CAP_IPC_LOCK.
    if (memlock.raise()) {
      info_.notes.emplace_back("RLIMIT_MEMLOCK was raised for packet memory, and set back");
      continue;
    }
    const uint64_t limit = memlock_limit();
    if (settings_.frames / 2 < std::max(kMinFrames, count)) {
      failed->message += ", RLIMIT_MEMLOCK is " + std::to_string(limit) + " bytes";
      failed->hint = "Grant CAP_IPC_LOCK (setcap cap_ipc_lock+ep) or raise the limit: ulimit -l unlimited";
      return *std::move(failed);
    }
    settings_.frames /= 2;
    tx_entries_ = std::min(tx_entries_, settings_.frames);
    const std::string note = "RLIMIT_MEMLOCK (" + std::to_string(limit) + " bytes) leaves room for ";
    std::erase_if(info_.notes, [&](const std::string& other) { return other.starts_with(note); });
    info_.notes.push_back(note + std::to_string(settings_.frames) +
                          " frames: grant CAP_IPC_LOCK or ulimit -l unlimited for more");
  }

  // Half of a queue's frames may be lent: each lease finds some of them, even when all come from one queue.
  const uint32_t lendable = std::max(1u, settings_.frames / count / 2);
  uint32_t leases = std::clamp(settings_.frames / 2 / std::max(1u, settings_.batch_size), 1u, kMaxLeases);
  leases = std::min({leases, lendable, multi_buffer_ ? kJoinedSlots : kMaxLeases});
  for (const auto& queue : queues_) queue->frames = Quota(lendable, leases);
  leases_ = LeaseTable(leases);
  lent_.resize(leases);
  for (Lent& lent : lent_) lent.addresses.reserve(std::min(settings_.batch_size, lendable));
  lent_slots_ = SlotPool(leases);
  if (multi_buffer_) {
    joined_slots_ = SlotPool(kJoinedSlots);
    joined_quota_ = Quota(kJoinedSlots, leases);
    for (Lent& lent : lent_) lent.joined.reserve(std::min(settings_.batch_size, kJoinedSlots));
  }
  info_.max_leases = leases;
  info_.segments = {{umem_.region, umem_.region->base(), umem_.region->bytes()}};

  auto map = create_map({.type = BPF_MAP_TYPE_XSKMAP, .entries = device_.queues, .name = "ringtap_xsks"});
  if (!map) return std::move(map).error();
  map_ = *std::move(map);
  user_time_ = settings_.timestamp == "user";
  info_.timestamp_source = user_time_ ? "user" : "kernel";
  return Ok{};
}

Result<FilterPlacement> AfXdp::set_filter(std::shared_ptr<Filter> filter) {
  filter_ = std::move(filter);
  if (auto loaded = load_program(); !loaded) return std::move(loaded).error();
  return program_->filter;
}

Result<Ok> AfXdp::load_program() {
  LoadSpec spec{.xsk_map = map_.get(), .clock = stamp_clock(), .device = device_.index, .frags = multi_buffer_};
  if (filter_) {
    auto program = filter_->program(kEthernet);
    if (!program) return std::move(program).error();
    spec.filter = *program;
  }
  auto loaded = load(spec);
  if (!loaded) {
    Error error = std::move(loaded).error();
    error.message = uri_ + ": " + error.message;
    return error;
  }
  program_.emplace(*std::move(loaded));
  info_.notes.insert(info_.notes.end(), program_->notes.begin(), program_->notes.end());
  if (spec.filter != nullptr && program_->keep == 0) vm_.emplace(*spec.filter);
  keep_ = program_->keep != 0 ? std::min(program_->keep, info_.snaplen) : info_.snaplen;
  info_.timestamp_source = program_->stamps ? "kernel" : "user";
  if (program_->stamps && program_->stamps->clock() == StampClock::kHardware) {
    if (settings_.plan_only) {
      info_.timestamp_source = "hardware";
      info_.notes.push_back("whether " + device_.name + " stamps packets is known when the capture opens");
    } else if (const int err = enable_hardware_timestamps(device_.name); err == 0) {
      info_.timestamp_source = "hardware";
    } else {
      info_.notes.push_back("no hardware timestamps from " + device_.name + ": " + std::strerror(err) +
                            "; packets that its driver gives no time for have the kernel's");
    }
  }
  return Ok{};
}

StampClock AfXdp::stamp_clock() {
  if (user_time_) return StampClock::kNone;
  if (settings_.timestamp != "hardware") return StampClock::kMonotonic;
  if (settings_.mode != "generic") return StampClock::kHardware;
  info_.notes.emplace_back("no hardware timestamps: generic XDP cannot ask the driver; the kernel's clock is used");
  return StampClock::kMonotonic;
}

Result<Ok> AfXdp::start() {
  if (!program_) {
    if (auto loaded = load_program(); !loaded) return loaded;
  }
  if (is_given_up()) return given_up();
  if (auto attached = attach(); !attached) return attached;
  if (settings_.promiscuous) {
    promiscuous_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    packet_mreq request{};
    request.mr_ifindex = device_.index;
    request.mr_type = PACKET_MR_PROMISC;
    if (!promiscuous_ ||
        setsockopt(promiscuous_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) != 0) {
      info_.notes.push_back("no promiscuous mode: " + std::string(std::strerror(errno)));
    }
  }
  tx_.emplace(queues_.front()->xsk, umem_, settings_.frames);
  stamp_base_ns_ = time_namespace_offset() - info_.epoch_ns;
  for (int i = 0; i < 8; i++) observe_clock();
  return watch();
}

Result<Ok> AfXdp::start_tx() {
  // WHY a copy: Intel's drivers send from our memory only while an XDP program is attached, which would take traffic
  // away.
  uint16_t flags = settings_.zerocopy == "require" ? XDP_ZEROCOPY : XDP_COPY;
  if (settings_.need_wakeup) flags |= XDP_USE_NEED_WAKEUP;
  const int err = bind_patiently(queues_.front()->xsk, flags);
  if (err == ECANCELED) return given_up();
  if (err != 0) {
    return system_error(
        err == EBUSY ? Code::kBusy : Code::kSystem,
        uri_ + ": queue " + std::to_string(queues_.front()->xsk.queue()) + " of " + device_.name + " cannot be bound",
        "bind", err);
  }
  tx_.emplace(queues_.front()->xsk, umem_, settings_.frames);
  return Ok{};
}

// Native first, generic next; what was obtained stands in the plan.
Result<Ok> AfXdp::attach() {
  std::optional<Error> refused;
  if (settings_.mode != "generic") {
    auto link = attach_xdp(program_->fd.get(), device_.index, device_.name, AttachMode::kNative);
    if (link) {
      link_ = *std::move(link);
      if (auto bound = bind_sockets(true); !bound) return bound;
      const bool zero_copy =
          std::all_of(queues_.begin(), queues_.end(), [](const auto& queue) { return queue->xsk.zero_copy(); });
      info_.mode = zero_copy ? "native, zero-copy" : "native, copy";
      return Ok{};
    }
    refused = std::move(link).error();
    refused->message = uri_ + ": " + refused->message;
    if (settings_.mode == "native" || settings_.zerocopy == "require" || refused->code != Code::kUnsupported)
      return *std::move(refused);
    info_.notes.push_back("no native XDP: " + refused->message);
  }
  if (program_->stamps && program_->stamps->clock() == StampClock::kHardware) {
    settings_.mode = "generic";  // which refuses a program that asks the driver
    if (auto loaded = load_program(); !loaded) return loaded;
  }
  auto link = attach_xdp(program_->fd.get(), device_.index, device_.name, AttachMode::kGeneric);
  if (!link) {
    Error error = std::move(link).error();
    error.message = uri_ + ": " + error.message;
    return error;
  }
  link_ = *std::move(link);
  if (auto bound = bind_sockets(false); !bound) return bound;
  info_.mode = "generic, copy";
  return Ok{};
}

// WHY: the kernel lets go of a queue a moment after its socket was closed, on a starved machine over half a second.
// Somebody who stays is somebody else.
int AfXdp::bind_patiently(const Xsk& xsk, uint16_t flags) const {
  const auto deadline = std::chrono::steady_clock::now() + kReleaseTime;
  int err = xsk.bind(flags);
  while (err == EBUSY && std::chrono::steady_clock::now() < deadline) {
    if (is_given_up()) return ECANCELED;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    err = xsk.bind(flags);
  }
  return err;
}

bool AfXdp::is_given_up() const noexcept {
  return settings_.cancelled != nullptr && settings_.cancelled->load(std::memory_order_relaxed);
}

Error AfXdp::given_up() const { return {.code = Code::kClosed, .message = uri_ + ": opening was given up"}; }

Result<Ok> AfXdp::bind_sockets(bool native) {
  uint16_t flags = settings_.need_wakeup ? XDP_USE_NEED_WAKEUP : 0;
  if (!native || settings_.zerocopy == "off") flags |= XDP_COPY;
  if (settings_.zerocopy == "require") flags |= XDP_ZEROCOPY;
  if (multi_buffer_) flags |= XDP_USE_SG;
  for (uint32_t i = 0; i < queues_.size(); i++) {
    Queue& queue = *queues_[i];
    const std::string where = uri_ + ": queue " + std::to_string(queue.xsk.queue()) + " of " + device_.name;
    switch (const int err = bind_patiently(queue.xsk, flags)) {
      case 0:
        break;
      case ECANCELED:
        return given_up();
      case EBUSY:
        return Error{.code = Code::kBusy,
                     .message = where + " is taken by another AF_XDP socket",
                     .hint = "Find it with: ss --xdp -p",
                     .syscall = "bind",
                     .err = err};
      case EOPNOTSUPP:
      case 524:  // ENOTSUPP, which the kernel leaks here
        return Error{.code = Code::kUnsupported,
                     .message = where + ": the driver has no zero copy",
                     .hint = "Use zerocopy=auto.",
                     .syscall = "bind",
                     .err = err};
      case EINVAL:
        if (multi_buffer_) {
          return Error{.code = Code::kUnsupported,
                       .message = where + ": an MTU of " + std::to_string(device_.mtu) +
                                  " needs packets in several fragments, which this kernel or driver does not have",
                       .hint = "Lower the MTU to 1500, or use afpacket:.",
                       .syscall = "bind",
                       .err = err};
        }
        [[fallthrough]];
      default:
        return system_error(err == ENODEV ? Code::kNoInterface : Code::kSystem, where + " cannot be bound", "bind",
                            err);
    }
    if (settings_.busy_poll_us != 0) {
      const int prefer = 1;
      const int micros = static_cast<int>(settings_.busy_poll_us);
      const int budget = 64;
      if (setsockopt(queue.xsk.fd(), SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof prefer) != 0 ||
          setsockopt(queue.xsk.fd(), SOL_SOCKET, SO_BUSY_POLL, &micros, sizeof micros) != 0 ||
          setsockopt(queue.xsk.fd(), SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget) != 0) {
        info_.notes.push_back("no busy polling: " + std::string(std::strerror(errno)));
      }
    }
    const uint32_t share = settings_.frames / static_cast<uint32_t>(queues_.size());
    for (uint32_t frame = i * share; frame < (i + 1) * share; frame++) {
      queue.xsk.fill[queue.filled++] = uint64_t{frame} * settings_.frame_bytes;
    }
    queue.xsk.fill.publish(queue.filled);
    if (queue.xsk.fill.needs_wakeup()) queue.xsk.kick_rx();
    if (auto set = set_map(map_.get(), queue.xsk.queue(), static_cast<uint32_t>(queue.xsk.fd())); !set) return set;
  }
  return Ok{};
}

// One descriptor for all queues and for the link, and a timer, because nothing tells of a program that somebody
// removes.
Result<Ok> AfXdp::watch() {
  auto events = LinkEvents::open(device_.index, uri_);
  if (!events) return std::move(events).error();
  events_ = *std::move(events);
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (epoll_) timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  const auto add = [this](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  };
  bool good = epoll_ && timer_ && add(timer_.get()) && add(events_->fd());
  for (const auto& queue : queues_) good = good && add(queue->xsk.fd());
  if (!good) return system_error(Code::kSystem, uri_ + ": cannot wait for packets", "epoll", errno);
  wake_for_check();
  return Ok{};
}

void AfXdp::wake_for_check() noexcept {
  const itimerspec once{{}, {0, std::chrono::nanoseconds(kWatchEvery).count()}};
  next_check_ = std::chrono::steady_clock::now() + kWatchEvery;
  timerfd_settime(timer_.get(), 0, &once, nullptr);
}

RxBatch AfXdp::receive(DescBlock& block, uint32_t max) noexcept {
  if (interrupted_.exchange(false, std::memory_order_relaxed)) return {.rx = Rx::kInterrupted};
  if (!link_) return {.rx = Rx::kEof};
  const bool check = std::chrono::steady_clock::now() >= next_check_;
  // Nobody waits for news but a reader that found nothing.
  if (!failed_ && (check || idle_)) hear_of_link();
  if (!failed_ && check) look_after_program();
  idle_ = false;
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  max = std::min(max, settings_.batch_size);
  const auto count = static_cast<uint32_t>(queues_.size());
  const std::scoped_lock lock(stats_mutex_);
  budget_.renew();
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t index = turn_ + i < count ? turn_ + i : turn_ + i - count;
    Queue& queue = *queues_[index];
    if (queue.xsk.rx.produced() == queue.consumed) continue;
    const uint32_t slot = lent_slots_.take();
    Lent& lent = lent_[slot];
    lent.queue = index;
    const uint32_t packets = walk(queue, block, max, lent);
    if (packets == 0) {
      lent_slots_.give(slot);
      continue;
    }
    turn_ = index + 1 < count ? index + 1 : 0;
    return {.rx = Rx::kOk, .count = packets, .segment = 0, .link_type = kEthernet, .lease = *leases_.acquire(slot)};
  }
  if (failed_) return {.rx = Rx::kError};
  if (std::exchange(noticed_, false)) return {.rx = Rx::kNotice};
  for (const auto& queue : queues_) {
    // WHY here, too: a driver that found no frame may say so just after give_back() looked.
    if (settings_.busy_poll_us != 0 || queue->xsk.fill.needs_wakeup()) queue->xsk.kick_rx();
  }
  idle_ = true;
  return {.rx = Rx::kAgain};
}

uint32_t AfXdp::walk(Queue& queue, DescBlock& block, uint32_t max, Lent& lent) noexcept {
  const uint32_t produced = queue.xsk.rx.produced();
  const std::byte* base = umem_.region->base();
  const bool stamped = program_->stamps && program_->stamps->intact();
  if (stamped) observe_clock();
  const int64_t to_epoch = clock_.ns() + stamp_base_ns_;
  const int64_t now = stamped ? 0 : clock_ns(CLOCK_REALTIME) - info_.epoch_ns;
  const auto queue_id = static_cast<uint16_t>(queue.xsk.queue());
  max = std::min(max, queue.frames.most());
  const uint32_t filled = queue.filled;
  uint32_t position = queue.consumed;
  uint32_t packets = 0;
  uint64_t bytes = 0;
  uint64_t filtered = 0;
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
    uint32_t keep = keep_;
    if (vm_) {
      keep = std::min(keep, vm_->run(base + packet.offset, packet.wirelen, packet.caplen, budget_));
      if (budget_.used_up()) max = 0;  // this one was the last
      if (keep == 0) {
        filtered++;
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
  delivered_.fetch_add(packets, std::memory_order_relaxed);
  delivered_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  filtered_.fetch_add(filtered, std::memory_order_relaxed);
  joined_.fetch_add(joined, std::memory_order_relaxed);
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
  for (const uint64_t address : lent.addresses) refill(queue, address);
  publish(queue);
  queue.frames.give(static_cast<uint32_t>(lent.addresses.size()));
  joined_quota_.give(static_cast<uint32_t>(lent.joined.size()));
  for (const uint32_t slot : lent.joined) joined_slots_.give(slot);
  lent.addresses.clear();
  lent.joined.clear();
}

bool AfXdp::release(Lease lease) noexcept {
  const auto slot = leases_.release(lease);
  if (!slot) return false;
  if (link_) give_back(lent_[*slot]);
  lent_slots_.give(*slot);
  return true;
}

void AfXdp::hear_of_link() noexcept {
  const LinkNews news = events_->read();
  if (news.gone) return fail(interface_gone());
  if (news.downs > 0) {
    const std::string times = news.downs > 1 ? " " + std::to_string(news.downs) + " times" : "";
    noticed_ = true;
    error_ = {.code = Code::kInterfaceDown,
              .message = uri_ + ": interface \"" + device_.name + "\" went down" + times +
                         ": the capture goes on when it is up again"};
  }
  if (news.up) {
    for (const auto& queue : queues_) {
      if (queue->xsk.fill.needs_wakeup()) queue->xsk.kick_rx();
    }
  }
}

// Nothing tells of a program that somebody removes, or of queues that change. Asked a few times a second.
void AfXdp::look_after_program() noexcept {
  wake_for_check();
  const LinkOf attached = inspect_link(link_.get(), program_->fd.get());
  if (attached != LinkOf::kProgram) {
    // WHY: an interface that goes away loses its name before its program.
    if (link_state(events_->fd(), device_.index) == LinkState::kGone) return fail(interface_gone());
    return fail({.code = Code::kInterfaceChanged,
                 .message = uri_ + ": somebody " + (attached == LinkOf::kNothing ? "removed" : "replaced") +
                            " the capture's XDP program on " + device_.name,
                 .hint = "See what is attached with: bpftool net; then open the capture again."});
  }
  if (const auto changed = queues_changed()) {
    detach_link(link_.get());  // nothing more is taken from the host
    return fail({.code = Code::kInterfaceChanged,
                 .message = uri_ + ": " + *changed,
                 .hint = "Open the capture again; ethtool -l " + device_.name + " shows the queues."});
  }
}

std::optional<std::string> AfXdp::queues_changed() const {
  const uint32_t now = rx_queues(events_->fd(), device_.index).value_or(device_.queues);
  const std::string have = device_.name + " has " + std::to_string(now) + " RX queues now, ";
  const uint32_t last = *std::max_element(settings_.queues.begin(), settings_.queues.end());
  if (last >= now) return have + "and queue " + std::to_string(last) + " was captured";
  if (now > device_.queues && settings_.queues.size() == device_.queues) {
    return have + "and all " + std::to_string(device_.queues) + " that it had were captured: the others are missing";
  }
  return std::nullopt;
}

Error AfXdp::interface_gone() const {
  return {.code = Code::kInterfaceGone, .message = uri_ + ": interface \"" + device_.name + "\" was removed"};
}

// Everything that has arrived is delivered first.
void AfXdp::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
}

void AfXdp::observe_clock() noexcept {
  const int64_t before = clock_ns(CLOCK_MONOTONIC);
  const int64_t real = clock_ns(CLOCK_REALTIME);
  clock_.observe(before, real, clock_ns(CLOCK_MONOTONIC));
}

Stats AfXdp::stats() const noexcept {
  const std::scoped_lock lock(stats_mutex_);
  if (queues_.empty()) return last_stats_;
  Stats s;
  s.delivered = delivered_.load(std::memory_order_relaxed);
  s.delivered_bytes = delivered_bytes_.load(std::memory_order_relaxed);
  s.filtered = filtered_.load(std::memory_order_relaxed);
  s.joined = joined_.load(std::memory_order_relaxed);
  uint64_t dropped = 0;
  uint64_t full = 0;
  uint64_t invalid = 0;
  for (const auto& queue : queues_) {
    // WHY: rx_fill_ring_empty_descs repeats rx_dropped, and so may the driver's own counters: neither is added.
    const xdp_statistics now = queue->xsk.statistics();
    dropped += now.rx_dropped;
    full += now.rx_ring_full;
    invalid += now.rx_invalid_descs;
    const uint32_t produced = queue->xsk.rx.produced();
    for (uint32_t i = queue->consumed; i != produced; i++) {
      if ((queue->xsk.rx[i].options & XDP_PKT_CONTD) == 0) s.pending++;
    }
  }
  s.dropped = dropped + full + invalid;
  s.received = s.delivered + s.filtered + s.dropped + s.pending;
  s.drops = {{"rxDropped", dropped}, {"rxRingFull", full}, {"rxInvalidDescs", invalid}, {"nic", std::nullopt}};
  return s;
}

void AfXdp::close() noexcept {
  if (queues_.empty()) return;
  Stats last = stats();  // the sockets take the kernel's counts along
  const std::scoped_lock lock(stats_mutex_);
  last_stats_ = std::move(last);
  // WHY not by closing it alone: a child process that is just being made may hold a copy of the descriptor.
  if (link_) detach_link(link_.get());
  link_.reset();
  tx_.reset();
  queues_.clear();
  info_.segments.clear();
}

}  // namespace ringtap::afxdp
