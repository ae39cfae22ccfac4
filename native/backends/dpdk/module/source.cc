#include "backends/dpdk/module/source.h"

#include <rte_ethdev.h>
#include <rte_pause.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <utility>

#include "backends/dpdk/module/devargs.h"
#include "backends/dpdk/module/eal.h"
#include "backends/dpdk/module/pci.h"
#include "core/clock.h"
#include "core/link_type.h"

namespace ringtap::dpdk {

namespace {

constexpr uint32_t kMostLeases = 128;
constexpr uint32_t kFewestLeases = 4;
// After a batch of so many packets the reader looks for more so many times, which takes a few microseconds.
constexpr uint32_t kFlood = 64;
constexpr uint32_t kLooks = 128;

/// The device that a target means: a PCI address, the n-th NIC that is bound for DPDK, or a virtual device by its name.
/// With parameters that were checked: from here on they are DPDK's.
struct Target {
  std::string device;
  std::string devargs;
  bool pci = false;
};

Result<Target> find_target(const OpenRequest& request) {
  // DPDK's own spelling has the parameters behind a comma.
  const size_t comma = std::min(request.target.find(','), request.target.size());
  const std::string device = request.target.substr(0, comma);
  Devargs devargs{.text = request.target.substr(comma), .unsafe = request.options.text("unsafeDevargs")};
  devargs.text.append(",").append(request.options.text("devargs"));
  const auto all = [&](auto is) { return !device.empty() && std::all_of(device.begin(), device.end(), is); };
  const bool index = device.size() <= 4 && all([](char c) { return c >= '0' && c <= '9'; });
  auto address = pci_address(device);
  if (index || address) {
    auto checked = nic_devargs(request.uri, devargs);
    if (!checked) return std::move(checked).error();
    if (index) {
      auto nic = nic_at(request.uri, std::stoul(device));
      if (!nic) return std::move(nic).error();
      address = *std::move(nic);
    } else if (auto usable = check_nic(request.uri, *address); !usable) {
      return std::move(usable).error();
    }
    return Target{.device = *std::move(address), .devargs = *std::move(checked), .pci = true};
  }
  if (!all([](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; })) {
    return Error{.code = Code::kBadUri,
                 .message = request.uri + ": " + shown(device) + " is no PCI address, port or virtual device",
                 .hint = "Write dpdk:0000:01:00.0, dpdk:0 or dpdk:net_pcap0?rx_pcap=trace.pcap."};
  }
  auto checked = virtual_devargs(request.uri, device, devargs);
  if (!checked) return std::move(checked).error();
  return Target{.device = device, .devargs = *std::move(checked)};
}

EalRequest::Huge huge_of(const std::string& text) {
  return text == "require" ? EalRequest::Huge::kRequire
         : text == "off"   ? EalRequest::Huge::kOff
                           : EalRequest::Huge::kAuto;
}

/// Drivers that fill the count of packets that the device had no room for. Others leave it at zero.
bool counts_missed(const Port& port) {
  return !port.virtual_device() || port.driver() == "net_pcap" || port.driver() == "net_af_xdp";
}

}  // namespace

Result<std::unique_ptr<Source>> PortSource::open(const OpenRequest& request) {
  auto target = find_target(request);
  if (!target) return std::move(target).error();
  const Options& options = request.options;
  const EalRequest eal{.uri = request.uri,
                       .pci = target->pci ? target->device : "",
                       .huge = huge_of(options.text("hugePages", "auto")),
                       .arguments = options.text("eal"),
                       .cancelled = request.cancelled};
  if (auto started = start_eal(eal); !started) return std::move(started).error();
  if (target->pci && !eal_has_pci()) {
    return Error{
        .code = Code::kBusy,
        .message = request.uri + ": DPDK was started without PCI in this process, by a capture of a virtual device",
        .hint = "Open the PCI port first: DPDK starts once per process."};
  }
  auto port =
      Port::plug({.uri = request.uri,
                  .device = target->device,
                  .devargs = target->devargs,
                  .queues = static_cast<uint16_t>(std::clamp<size_t>(options.list("queues").size(), 1, 64)),
                  .descriptors = static_cast<uint16_t>(std::clamp<int64_t>(options.integer("descriptors"), 0, 32768)),
                  .mtu = static_cast<uint16_t>(std::clamp<int64_t>(options.integer("mtu"), 0, 65000)),
                  .promiscuous = options.flag("promiscuous", true),
                  .symmetric = options.text("rss", "symmetric") == "symmetric",
                  .hardware_time = options.text("timestamp", "auto") == "hardware",
                  .driver_time = options.text("timestamp", "auto") != "user",
                  .mbufs = static_cast<uint32_t>(std::clamp<int64_t>(options.integer("mbufs"), 0, 900'000)),
                  .cancelled = request.cancelled});
  if (!port) return std::move(port).error();
  const PollSettings poll{.busy = options.text("pollMode", "backoff") == "busy",
                          .core = static_cast<int>(options.integer("core", -1))};
  return std::unique_ptr<Source>(new PortSource(
      *std::move(port), poll,
      static_cast<uint32_t>(std::clamp<int64_t>(options.integer("snaplen", kMaxSnaplen), 14, kMaxSnaplen)),
      static_cast<uint32_t>(std::clamp<int64_t>(options.integer("batchSize", 256), 1, 65536)),
      static_cast<uint32_t>(std::clamp<int64_t>(options.integer("timeoutMs"), 0, 100)), options.flag("xstats")));
}

// Half of what the ring takes may be held, however few packets it takes and however large batches are.
PortSource::PortSource(Port port, PollSettings poll, uint32_t snaplen, uint32_t batch_size, uint32_t gather_ms,
                       bool xstats)
    : port_(std::move(port)),
      poll_settings_(poll),
      gather_ms_(gather_ms),
      xstats_(xstats),
      most_(std::min(batch_size, port_->ring_size() / 2 / kFewestLeases)),
      leases_(std::min(kMostLeases, port_->ring_size() / 2 / most_)) {
  info_.link_type = kLinkEthernet;
  info_.epoch_ns = epoch_now_ns();
  info_.snaplen = snaplen;
  const auto& region = port_->memory().region();
  info_.segments = {{.region = region, .base = region->base(), .bytes = region->bytes()}};
  info_.max_leases = leases_.capacity();
  info_.copies = port_->copies();
  info_.mode = info_.copies ? "copy" : "zero-copy";
  info_.timestamp_source = BurstClock(*port_).source();
  info_.notes = eal_notes();
  info_.notes.insert(info_.notes.end(), port_->notes().begin(), port_->notes().end());
}

Result<FilterPlacement> PortSource::set_filter(std::shared_ptr<Filter> filter) {
  auto program = filter->program(static_cast<int>(info_.link_type));
  if (!program) return std::move(program).error();
  filter_ = std::make_shared<const MbufFilter>(**program);
  return filter_->placement();
}

Result<Ok> PortSource::start_port(bool receive) {
  const size_t before = port_->notes().size();
  if (auto started = port_->start(receive); !started) return started;
  info_.notes.insert(info_.notes.end(), port_->notes().begin() + static_cast<std::ptrdiff_t>(before),
                     port_->notes().end());
  if (port_->send_pool() != nullptr) tx_.emplace(port_->id(), port_->send_pool());
  return Ok{};
}

Result<Ok> PortSource::start() {
  if (auto started = start_port(true); !started) return started;
  auto poller = std::make_unique<Poller>(*port_, filter_, poll_settings_);
  if (auto started = poller->start(); !started) return started;
  poller_ = std::move(poller);
  return Ok{};
}

Result<Ok> PortSource::start_tx() { return start_port(false); }

RxBatch PortSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (!poller_) return {.rx = Rx::kEof};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  if (asleep_) poller_->awake();
  asleep_ = false;
  uint64_t there = poller_->ring().unread();
  // WHY: while the reader sleeps and wakes up again, a flood fills the ring, and all of it leaves the caches.
  for (uint32_t looks = std::exchange(looks_, 0); there == 0 && looks > 0; looks--) {
    rte_pause();
    there = poller_->ring().unread();
  }
  if (there == 0) {
    if (const Error* failure = poller_->failure()) {
      error_ = *failure;
      return {.rx = Rx::kError};
    }
    // Packets go back in the ring's order: where all of it lies behind a held batch, nothing more can come.
    if (poller_->ring().position() - leases_.freed() == port_->ring_size()) return {.rx = Rx::kNoBuffer};
    asleep_ = true;
    if (poller_->sleep()) return {.rx = Rx::kAgain};
    poller_->awake();
    asleep_ = false;
    there = poller_->ring().unread();
    if (there == 0) return receive(block, max);  // the polling thread has just failed
  }
  const auto count = static_cast<uint32_t>(std::min<uint64_t>({there, max, most_, block.capacity()}));
  fill(block, count);
  if (count >= kFlood) looks_ = kLooks;
  return {.rx = Rx::kOk,
          .count = count,
          .segment = 0,
          .link_type = info_.link_type,
          .lease = leases_.lend(poller_->ring().position())};
}

// Describes up to `count` packets that were written.
void PortSource::fill(DescBlock& block, uint32_t count) noexcept {
  PacketRing& ring = poller_->ring();
  const uint32_t snaplen = info_.snaplen;
  uint64_t bytes = 0;
  uint32_t joined = 0;
  for (uint32_t done = 0; done < count;) {
    const PacketRing::Run run = ring.read(count - done);
    const int64_t burst_ns = run.burst.time_ns - info_.epoch_ns;
    for (uint32_t i = 0; i < run.packets.size(); i++) {
      const Packet packet = run.packets[i];
      block.set_basic(done + i, packet.offset, std::min(packet.length, snaplen), packet.length, burst_ns, 0);
      block.hash[done + i] = 0;
      block.queue[done + i] = run.burst.queue;
      bytes += packet.length;
    }
    for (uint32_t i = 0; i < run.extras.size(); i++) {
      const Extra& extra = run.extras[i];
      block.caplen[done + i] = std::min({run.packets[i].length, extra.keep, snaplen});
      block.flags[done + i] = extra.flags;
      block.set_time(done + i, extra.time_ns - info_.epoch_ns);
      block.hash[done + i] = extra.hash;
      joined += (extra.flags & kFlagFragmented) != 0;
    }
    done += static_cast<uint32_t>(run.packets.size());
  }
  last_.delivered += count;
  last_.delivered_bytes += bytes;
  last_.joined += joined;
}

bool PortSource::release(Lease lease) noexcept {
  const uint64_t before = leases_.freed();
  if (!leases_.release(lease)) return false;
  if (leases_.freed() != before && poller_) poller_->ring().release_to(leases_.freed());
  return true;
}

Readiness PortSource::readiness() const noexcept {
  if (!poller_) return {};
  return {.kind = Readiness::Kind::kFd, .fd = poller_->wake_fd(), .gather_ms = gather_ms_};
}

// Brings last_ up to date.
void PortSource::collect() const noexcept {
  if (!poller_) return;
  last_.filtered = poller_->filtered();
  const uint64_t ring = poller_->dropped();
  last_.pending = poller_->ring().written() - last_.delivered;
  rte_eth_stats port{};
  const bool known = rte_eth_stats_get(port_->id(), &port) == 0;
  const auto counted = [&](uint64_t count, bool counts) {
    return known && counts ? std::optional(count) : std::nullopt;
  };
  last_.drops = {{"ring", ring},
                 {"nic", counted(port.imissed, counts_missed(*port_))},
                 {"error", counted(port.ierrors, true)},
                 {"mbuf", counted(port.rx_nombuf, true)}};
  last_.dropped = 0;
  for (const DropCause& cause : last_.drops) last_.dropped += cause.count.value_or(0);
  last_.received = last_.delivered + last_.filtered + last_.dropped + last_.pending;
  if (xstats_) last_.details = port_->xstats();
}

Stats PortSource::stats() const noexcept {
  collect();
  return last_;
}

void PortSource::close() noexcept {
  if (!port_) return;
  if (poller_) poller_->stop();
  collect();
  tx_.reset();
  poller_.reset();
  info_.segments.clear();
  port_.reset();
}

}  // namespace ringtap::dpdk
