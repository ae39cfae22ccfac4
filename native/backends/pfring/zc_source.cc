#include "backends/pfring/zc_source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "core/clock.h"
#include "core/link_type.h"
#include "core/new_descriptors.h"
#include "core/text.h"
#include "linux/interface.h"

namespace ringtap::pfring {

namespace {

constexpr uint32_t kSlowBurst = 4;
constexpr uint32_t kReceiveOnly = 0;
constexpr uint32_t kDeviceBuffers = 32768;  // the longest ring of a NIC
constexpr uint32_t kHandles = 16384;
constexpr uint32_t kLeases = 128;
constexpr uint32_t kLinkHeader = 14 + 8;  // with two VLAN tags
constexpr auto kTrial = std::chrono::minutes(5);

const char* const kLicenceHint =
    "Zero copy needs a ZC driver for the NIC (https://packages.ntop.org) and a licence (https://shop.ntop.org); "
    "without them, leave out \"zc:\".";

uint32_t buffer_bytes(uint32_t mtu) { return std::max<uint32_t>(1536, (mtu + kLinkHeader + 63) / 64 * 64); }

uint32_t new_cluster_id() {
  static std::atomic<uint32_t> next{0};
  return 1000 + static_cast<uint32_t>(getpid()) % 30000 + next.fetch_add(1) * 31;
}

}  // namespace

ZcSource::ZcSource(const Library& library, Settings settings) : library_(library), settings_(std::move(settings)) {
  info_.link_type = kLinkEthernet;
  info_.notes = settings_.notes;
  info_.epoch_ns = epoch_now_ns();
  info_.snaplen = settings_.snaplen;
  info_.mode = "zero-copy";
  info_.timestamp_source = "user";
  info_.notes.emplace_back("packets that the NIC or driver stamped keep that time; others get the time of reading");
}

Result<std::unique_ptr<Source>> ZcSource::open(const Library& library, Settings settings) {
  if (!library.has_zc()) {
    return Error{.code = Code::kBackendMissing,
                 .message = settings.uri + ": this libpfring was built without ZC",
                 .hint = "Install the package pfring from https://packages.ntop.org: a build from sources has no ZC."};
  }
  std::unique_ptr<ZcSource> source(new ZcSource(library, std::move(settings)));
  if (auto opened = source->open_device(); !opened) return std::move(opened).error();
  return std::unique_ptr<Source>(std::move(source));
}

Error ZcSource::refused(const char* call, int err) const {
  const std::string at = settings_.uri + ": ";
  switch (err) {
    case ENOBUFS:
    case ENOMEM: {
      Error error = system_error(Code::kNoMemory, at + "no huge pages for a ZC cluster", call, err);
      error.hint = "Reserve some: echo 256 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
      return error;
    }
    case EMFILE:
    case ENFILE:
      return system_error(Code::kSystem, at + "cannot open \"" + settings_.target.text + "\"", call, err);
    case EBUSY:
      return system_error(Code::kBusy, at + "somebody else has the device", call, err);
    default: {
      Error error =
          system_error(Code::kUnsupported,
                       at + "\"" + settings_.target.names.front() + "\" has no ZC driver, or ZC no licence", call, err);
      error.hint = kLicenceHint;
      return error;
    }
  }
}

Result<Ok> ZcSource::open_device() {
  const UniqueFd query = query_socket();
  if (!query) return refused("socket", errno);
  const auto interface = query_interface(query.get(), settings_.target.names.front(), settings_.uri);
  if (!interface) return interface.error();
  const NewDescriptors inherits_nothing;
  errno = 0;
  ZcCluster* cluster = library_.zc_create_cluster(new_cluster_id(), buffer_bytes(interface->mtu), 0,
                                                  kDeviceBuffers + kHandles, -1, nullptr, 0);
  if (cluster == nullptr) return refused("pfring_zc_create_cluster", errno);
  cluster_ = {cluster, [this_library = &library_](ZcCluster* c) { this_library->zc_destroy_cluster(c); }};
  queue_ = library_.zc_open_device(cluster, settings_.target.text.c_str(), kReceiveOnly, 0);
  if (queue_ == nullptr) return refused("pfring_zc_open_device", errno);
  for (uint32_t i = 0; i < kHandles; i++) {
    ZcPacket* handle = library_.zc_get_packet_handle(cluster);
    if (handle == nullptr) break;
    free_.push_back(handle);
  }
  if (free_.empty()) return refused("pfring_zc_get_packet_handle", ENOMEM);
  // Whoever holds all but one of them leaves enough for another batch.
  const uint32_t handles = static_cast<uint32_t>(free_.size());
  batch_size_ = std::min(settings_.batch_size, handles);
  info_.max_leases = std::min(kLeases, handles / batch_size_);
  leases_ = LeaseTable(info_.max_leases);
  lent_.resize(info_.max_leases);
  for (auto& lent : lent_) lent.reserve(batch_size_);
  for (uint32_t i = info_.max_leases; i-- > 0;) unlent_.push_back(i);
  burst_.reserve(batch_size_);
  if (library_.zc_check_license != nullptr) licensed_ = library_.zc_check_license() != 0;
  if (!licensed_) info_.notes.emplace_back("ZC has no licence: the capture ends after five minutes");
  return find_memory();
}

// The library tells where a packet is, not where its memory begins and ends: the kernel knows.
Result<Ok> ZcSource::find_memory() {
  // SAFETY: only compared with the addresses of mappings.
  const auto known = reinterpret_cast<uintptr_t>(library_.zc_pkt_buff_data(free_.front(), queue_));
  const std::string maps = content_of("/proc/self/maps");
  if (maps.empty())
    return system_error(Code::kSystem, settings_.uri + ": cannot find the memory", "open(/proc/self/maps)", errno);
  for (const std::string& line : lines_of(maps)) {
    uint64_t from = 0;
    uint64_t to = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) != 3) continue;
    if (known < from || known >= to || rights[0] != 'r' || rights[1] != 'w') continue;
    if (to - from > kMaxSegmentBytes) break;
    // SAFETY: a readable and writable mapping, which stays as long as the cluster.
    base_ = reinterpret_cast<std::byte*>(from);
    bytes_ = to - from;
    keep_from_children(base_, bytes_);
    auto region = std::make_shared<Region>(base_, bytes_, [cluster = cluster_](std::byte*, size_t) {});
    info_.segments = {{std::move(region), base_, bytes_}};
    return Ok{};
  }
  return Error{.code = Code::kUnsupported,
               .message = settings_.uri + ": the memory of the ZC cluster cannot be shown to JavaScript"};
}

Result<FilterPlacement> ZcSource::set_filter(std::shared_ptr<Filter> filter) {
  auto program = filter->program(static_cast<int>(info_.link_type));
  if (!program) return std::move(program).error();
  return filter_.place_here(**program, "the NIC writes every packet straight into our memory");
}

Result<Ok> ZcSource::start() {
  // The device is open: what waits in it arrived before the start.
  started_ = true;
  opened_ = Clock::now();
  return Ok{};
}

bool ZcSource::describe(ZcPacket* packet, DescBlock& block, uint32_t index) noexcept {
  const std::byte* data = reinterpret_cast<const std::byte*>(library_.zc_pkt_buff_data(packet, queue_));
  // SAFETY: one look; JS may write to the memory that the library keeps this in.
  const ZcPacket seen = *const_cast<const ZcPacket*>(packet);
  if (data < base_ || data >= base_ + bytes_ || seen.length > base_ + bytes_ - data) {
    fail({.code = Code::kRingCorrupt,
          .message = settings_.uri + ": a packet lies outside the memory of the ZC cluster"});
    return false;
  }
  uint32_t keep = std::min<uint32_t>(seen.length, info_.snaplen);
  if (filter_.judged() != Judged::kNone) {
    keep = std::min(keep, filter_.keep(data, seen.length, seen.length));
    if (keep == 0) return false;
  }
  const int64_t time_ns = seen.seconds != 0 ? int64_t{seen.seconds} * 1'000'000'000 + seen.nanoseconds : unix_now_ns();
  block.set_basic(index, static_cast<uint32_t>(data - base_), keep, seen.length, time_ns - info_.epoch_ns,
                  seen.seconds != 0 ? uint32_t{kFlagHardwareTime} : 0);
  block.hash[index] = seen.hash;
  delivered_++;
  delivered_bytes_ += seen.length;
  return true;
}

RxBatch ZcSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (queue_ == nullptr) return {.rx = Rx::kEof};
  if (failed_) return {.rx = Rx::kError};
  if (!started_) return {.rx = Rx::kAgain};
  if (leases_.full() || free_.empty()) return {.rx = Rx::kNoBuffer};
  // A burst is taken whole, so it must be one that can be filtered at once.
  const uint32_t most = filter_.takes_long() ? kSlowBurst : max;
  const auto wanted = static_cast<uint32_t>(std::min<size_t>({max, most, block.capacity(), batch_size_, free_.size()}));
  // What the library fills takes the place of a free handle.
  burst_.assign(free_.end() - wanted, free_.end());
  const int got = library_.zc_recv_pkt_burst(queue_, burst_.data(), wanted, 0);
  if (got < 0 || (got == 0 && trial_is_over())) {
    fail({.code = licensed_ ? Code::kSystem : Code::kUnsupported,
          .message = settings_.uri + (licensed_ ? ": the ZC queue failed" : ": the trial time of ZC is over"),
          .hint = licensed_ ? "" : kLicenceHint,
          .syscall = "pfring_zc_recv_pkt_burst"});
    return {.rx = Rx::kError};
  }
  if (got == 0) return {.rx = Rx::kAgain};
  free_.resize(free_.size() - wanted);
  const uint32_t number = unlent_.back();
  std::vector<ZcPacket*>& lent = lent_[number];
  lent.clear();
  uint32_t count = 0;
  for (uint32_t i = 0; i < wanted; i++) {
    if (i < static_cast<uint32_t>(got) && !failed_ && describe(burst_[i], block, count)) {
      lent.push_back(burst_[i]);
      count++;
    } else {
      free_.push_back(burst_[i]);
    }
  }
  if (count == 0) return {.rx = failed_ ? Rx::kError : Rx::kAgain};
  unlent_.pop_back();
  return {.rx = Rx::kOk, .count = count, .segment = 0, .link_type = kLinkEthernet, .lease = *leases_.acquire(number)};
}

bool ZcSource::release(Lease lease) noexcept {
  const auto number = leases_.release(lease);
  if (!number) return false;
  free_.insert(free_.end(), lent_[*number].begin(), lent_[*number].end());
  unlent_.push_back(*number);
  return true;
}

bool ZcSource::trial_is_over() const noexcept { return !licensed_ && Clock::now() - opened_ > kTrial; }

void ZcSource::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
}

Readiness ZcSource::readiness() const noexcept {
  return {.kind = Readiness::Kind::kPoll, .max_sleep_us = 200, .gather_ms = settings_.gather_ms};
}

// Also at the end of a trial, so that the next receive() says so.
bool ZcSource::pending() const noexcept {
  return queue_ != nullptr && (library_.zc_queue_is_empty(queue_) == 0 || trial_is_over());
}

Stats ZcSource::stats() const noexcept {
  ZcStats now{};
  if (queue_ != nullptr && library_.zc_stats(queue_, &now) == 0) dropped_ = now.dropped;
  Stats stats{.delivered = delivered_,
              .filtered = filter_.filtered(),
              .dropped = dropped_,
              .delivered_bytes = delivered_bytes_,
              .drops = {{"ring", dropped_}, {"nic", std::nullopt}},
              .details = {}};
  stats.received = stats.delivered + stats.filtered + stats.dropped;
  return stats;
}

void ZcSource::close() noexcept {
  if (queue_ != nullptr) {
    ZcStats now{};
    if (library_.zc_stats(queue_, &now) == 0) dropped_ = now.dropped;
    library_.zc_close_device(queue_);
  }
  queue_ = nullptr;
  // The handles go with the cluster, and that with its last region.
  info_.segments.clear();
  cluster_.reset();
}

}  // namespace ringtap::pfring
