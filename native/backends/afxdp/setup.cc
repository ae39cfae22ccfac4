// Setting up: memory, sockets and the program, before anything touches the interface's traffic.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/memory.h"
#include "backends/afxdp/source.h"
#include "core/clock.h"
#include "core/link_type.h"
#include "linux/hardware_stamps.h"

namespace ringtap::afxdp {

namespace {

constexpr uint32_t kTxEntries = 1024;
constexpr uint32_t kFewCompletions = 64;  // of a queue that nothing is sent on
constexpr uint32_t kJoinedSlots = 256;
constexpr uint32_t kLinkHeader = ETH_HLEN + 8;  // with two VLAN tags
constexpr uint32_t kXdpHeadroom = 256;
constexpr uint32_t kOnePage =
    3500;  // of a packet: the most that drivers put into a page together with what they keep there
constexpr uint32_t kMinFrames = 128;  // the least that a short RLIMIT_MEMLOCK may leave: as many as may be asked for
constexpr uint32_t kMaxLeases = 1024;

Result<std::vector<uint32_t>> chosen_queues(const Options& options, const Device& device, const std::string& uri) {
  std::vector<uint32_t> queues;
  for (const double queue : options.list("queues")) queues.push_back(static_cast<uint32_t>(queue));
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

/// The interface that a capture's frames are to be sent on; none where it is the one that is captured.
Result<std::optional<Interface>> way_out_by(const std::string& name, const OpenRequest& request) {
  if (request.purpose == Purpose::kTransmit) {
    return Error{
        .code = Code::kBadOption,
        .message = request.uri + ": transmitOn is for captures: a transmitter sends on the interface that it names",
        .hint = "Use openTransmitter('afxdp:" + name + "')."};
  }
  const UniqueFd query = query_socket();
  if (!query) return system_error(Code::kSystem, request.uri + ": transmitOn", "socket", errno);
  auto interface = query_ethernet(query.get(), name, request.uri + ": transmitOn");
  if (!interface) return std::move(interface).error();
  if (interface->name == request.target) return std::optional<Interface>();
  return std::optional(*std::move(interface));
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
  settings.purpose = request.purpose;
  settings.cancelled = request.cancelled;
  if (const std::string name = options.text("transmitOn"); !name.empty()) {
    auto way_out = way_out_by(name, request);
    if (!way_out) return std::move(way_out).error();
    settings.way_out = *std::move(way_out);
  }
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
  info_.link_type = kLinkEthernet;
  info_.snaplen = static_cast<uint32_t>(request.options.integer("snaplen", kMaxSnaplen));
  info_.mode = settings_.mode == "generic" ? "generic" : "native";
  info_.epoch_ns = epoch_now_ns();
  info_.notes.push_back("packets that are captured are taken away from " + device_.name +
                        ": the host does not see them; with a filter only what matches is taken");
  if (settings_.way_out) info_.notes.push_back("capture.transmit sends on " + settings_.way_out->name);
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
      request.completion_entries = kFewCompletions;
      if (queues_.empty()) {
        request.completion_entries = tx_entries_;
        // A capture's socket is polled: it sends by another one.
        if (settings_.purpose == Purpose::kTransmit) request.tx_entries = tx_entries_;
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
      failed->message +=
          " for " + std::to_string(settings_.frames) + " frames, RLIMIT_MEMLOCK is " + std::to_string(limit) + " bytes";
      failed->hint =
          "Grant CAP_IPC_LOCK (setcap cap_ipc_lock+ep) or raise the limit: ulimit -l unlimited (systemd: "
          "LimitMEMLOCK=infinity, docker: --ulimit memlock=-1). The least that it takes are " +
          std::to_string(std::max(kMinFrames, count)) + " frames, which are fewer with a smaller queues=.";
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
  if (multi_buffer_) {
    joined_slots_ = Pool(kJoinedSlots);
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
    auto program = filter_->program(kLinkEthernet);
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
  if (spec.filter != nullptr && program_->keep == 0) {
    user_filter_.place_here(*spec.filter, program_->filter.reason);
  } else {
    user_filter_.place_elsewhere(spec.filter != nullptr ? program_->keep : kMaxSnaplen);
  }
  info_.timestamp_source = program_->stamps ? "kernel" : "user";
  if (program_->stamps && program_->stamps->clock() == StampClock::kHardware) {
    if (settings_.purpose == Purpose::kExplain) {
      info_.timestamp_source = "hardware";
      info_.notes.push_back("whether " + device_.name + " stamps packets is known when the capture opens");
    } else if (const int err = enable_hardware_stamps(device_.name); err == 0) {
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

}  // namespace ringtap::afxdp
