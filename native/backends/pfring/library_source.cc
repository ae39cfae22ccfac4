#include "backends/pfring/library_source.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/clock.h"
#include "core/link_type.h"
#include "core/new_descriptors.h"
#include "linux/interface.h"
#include "linux/packet_socket.h"

namespace ringtap::pfring {

namespace {

constexpr uint32_t kAlignment = 8;
constexpr uint64_t kBufferBytes = 64 << 20;
// How many packets may be rejected in a row before receive() comes back: it must not go on for ever.
constexpr uint32_t kFruitless = 4096;

/// Is this a socket of the kernel module, as it is for everything but zero copy?
bool is_module_socket(int fd) { return socket_domain(fd) == kFamily; }

Error result_error(const std::string& uri, const char* call, int result) {
  const char* meaning = result == kErrorInvalidArgument ? "invalid argument"
                        : result == kErrorNotSupported  ? "not supported for this device"
                        : result == kErrorNotEnabled    ? "the ring is not enabled"
                        : result == kErrorBadInterface  ? "no such interface"
                        : result == kErrorNoModule      ? "the kernel module is not loaded"
                                                        : "failed";
  const Code code = result == kErrorNoModule       ? Code::kBackendMissing
                    : result == kErrorBadInterface ? Code::kNoInterface
                    : result == kErrorNotSupported ? Code::kUnsupported
                                                   : Code::kSystem;
  return Error{.code = code,
               .message = uri + ": " + call + ": " + meaning + " (" + std::to_string(result) + ")",
               .syscall = call};
}

/// WHY asked for: EINVAL is the library's answer to much: an interface that does not exist, another kind of interface,
/// a module whose version is not its own.
Error cannot_open(const Settings& settings, int err) {
  const std::string what = settings.uri + ": PF_RING cannot open \"" + settings.target.text + "\"";
  const UniqueFd fd = query_socket();
  if (!fd || err == EMFILE || err == ENFILE) {
    return system_error(Code::kSystem, what, "pfring_open", fd ? err : EMFILE);
  }
  const auto exists = [&fd](const std::string& name) {
    return name == "any" || interface_index(fd.get(), name) != 0 || errno != ENODEV;
  };
  const bool there = std::all_of(settings.target.names.begin(), settings.target.names.end(), exists);
  if (there && (err == EPERM || err == EACCES)) return packet_right_refused(what, "pfring_open", err);
  const Code code = !there                           ? Code::kNoInterface
                    : err == ENETDOWN                ? Code::kInterfaceDown
                    : err == EINVAL || err == ENODEV ? Code::kUnsupported
                                                     : Code::kSystem;
  return system_error(code, what, "pfring_open", err);
}

Result<Ok> set_up(const Library& library, Handle* handle, const Settings& settings) {
  const auto failed = [&](const char* call, int result) { return result_error(settings.uri, call, result); };
  int result = library.set_direction(handle, ring_direction(settings.direction));
  if (result < 0) return failed("pfring_set_direction", result);
  result = library.set_poll_watermark(handle, settings.watermark);
  if (result < 0) return failed("pfring_set_poll_watermark", result);
  if (settings.name.empty()) return Ok{};
  std::string name = settings.name;
  result = library.set_application_name(handle, name.data());
  if (result < 0) return failed("pfring_set_application_name", result);
  return Ok{};
}

}  // namespace

Result<UniqueHandle> LibrarySource::open_handle(const Library& library, const Settings& settings, uint32_t caplen) {
  uint32_t flags = kTimestamp;
  if (settings.promiscuous && !settings.target.any()) flags |= kPromiscuous;
  if (settings.hardware_time) flags |= kHardwareTimestamp;
  const NewDescriptors inherits_nothing;
  errno = 0;
  UniqueHandle handle(library.open(settings.target.text.c_str(), std::max(caplen, kMinCaplen), flags));
  if (!handle) return cannot_open(settings, errno);
  if (auto there = check_queue(settings.target, library.get_num_rx_channels(handle.get()), settings.uri); !there) {
    return std::move(there).error();
  }
  if (auto done = set_up(library, handle.get(), settings); !done) return std::move(done).error();
  return handle;
}

Result<std::unique_ptr<Source>> LibrarySource::open(const Library& library, Settings settings) {
  auto handle = open_handle(library, settings, settings.snaplen);
  if (!handle) return std::move(handle).error();
  auto arena = Arena::allocate(kBufferBytes, kMaxCaplen);
  if (!arena) return std::move(arena).error();
  return std::unique_ptr<Source>(
      new LibrarySource(library, std::move(settings), *std::move(handle), *std::move(arena)));
}

LibrarySource::LibrarySource(const Library& library, Settings settings, UniqueHandle handle, Arena arena)
    : library_(library), settings_(std::move(settings)), handle_(std::move(handle)), arena_(std::move(arena)) {
  info_.link_type = kLinkEthernet;
  info_.notes = settings_.notes;
  info_.epoch_ns = epoch_now_ns();
  info_.snaplen = settings_.snaplen;
  info_.segments = {{arena_.region(), arena_.region()->base(), arena_.region()->bytes()}};
  info_.max_leases = arena_.chunks();
  info_.copies = true;
  info_.mode = "copy";
  info_.timestamp_source = settings_.hardware_time ? "hardware" : "kernel";
  if (settings_.hardware_time) {
    info_.notes.emplace_back("packets that the NIC stamped are flagged; the kernel stamps the others");
  }
  uint32_t version = 0;
  if (library.version(handle_.get(), &version) == 0) {
    info_.notes.push_back("through libpfring " + std::to_string(version >> 16) + "." +
                          std::to_string(version >> 8 & 0xff) + "." + std::to_string(version & 0xff));
  }
}

Result<FilterPlacement> LibrarySource::set_filter(std::shared_ptr<Filter> filter) {
  auto program = filter->program(static_cast<int>(info_.link_type));
  if (!program) return std::move(program).error();
  if (settings_.snaplen < kMaxCaplen) {
    handle_.reset();
    auto handle = open_handle(library_, settings_, kMaxCaplen);
    if (!handle) return std::move(handle).error();
    handle_ = *std::move(handle);
  }
  // WHY not pfring_set_bpf_filter(): it takes an expression and compiles it for bytes without VLAN tags.
  const int fd = library_.get_selectable_fd(handle_.get());
  if (fd < 0 || !is_module_socket(fd))
    return filter_.place_here(**program, "the device is not a socket of the kernel module");
  return filter_.place(**program, module_filter(fd));
}

Result<Ok> LibrarySource::start() {
  if (settings_.cluster != 0) {
    const int result = library_.set_cluster(handle_.get(), settings_.cluster, settings_.cluster_mode);
    if (result < 0) return result_error(settings_.uri, "pfring_set_cluster", result);
  }
  const NewDescriptors inherits_nothing;
  if (const int result = library_.enable_ring(handle_.get()); result < 0) {
    return result_error(settings_.uri, "pfring_enable_ring", result);
  }
  const int fd = library_.get_selectable_fd(handle_.get());
  auto watch =
      Watch::start(fd, settings_.target.any() ? std::vector<std::string>{} : settings_.target.names, settings_.uri);
  if (!watch) return std::move(watch).error();
  watch_.emplace(*std::move(watch));
  started_ = true;
  return prepare_tx();
}

Result<Ok> LibrarySource::start_tx() {
  // The library sends through an enabled ring only.
  const NewDescriptors inherits_nothing;
  if (const int result = library_.enable_ring(handle_.get()); result < 0) {
    return result_error(settings_.uri, "pfring_enable_ring", result);
  }
  return prepare_tx();
}

Result<Ok> LibrarySource::prepare_tx() {
  if (settings_.target.any()) return Ok{};
  auto link = link_of(settings_.target.names.front(), settings_.uri);
  if (!link) return std::move(link).error();
  tx_.emplace(*std::move(link), [this](std::span<const std::byte> frame) {
    errno = 0;
    // SAFETY: the library reads the frame and writes nothing.
    char* bytes = const_cast<char*>(reinterpret_cast<const char*>(frame.data()));
    const int result = library_.send(handle_.get(), bytes, static_cast<unsigned>(frame.size()), 1);
    return result >= 0 ? 0 : errno != 0 ? errno : EIO;
  });
  return Ok{};
}

RxBatch LibrarySource::receive(DescBlock& block, uint32_t max) noexcept {
  if (!handle_) return {.rx = Rx::kEof};
  if (failed_) return {.rx = Rx::kError};
  if (!started_) return {.rx = Rx::kAgain};
  if (arena_.exhausted()) return {.rx = Rx::kNoBuffer};
  read(block, std::min(max, block.capacity()));
  if (count_ > 0) {
    return {.rx = Rx::kOk, .count = count_, .segment = 0, .link_type = info_.link_type, .lease = arena_.lend()};
  }
  if (!failed_) {
    if (auto gone = watch_->check()) fail(*std::move(gone));
  }
  return {.rx = failed_ ? Rx::kError : Rx::kAgain};
}

void LibrarySource::read(DescBlock& block, uint32_t max) noexcept {
  count_ = 0;
  uint32_t at = arena_.next_offset();
  const uint32_t end = at + arena_.chunk_bytes();
  filter_.renew();
  for (uint32_t tried = 0; count_ < max && tried < max + kFruitless && end - at >= kMaxCaplen && !filter_.used_up();
       tried++) {
    // SAFETY: `end - at` bytes are ours until the chunk is released; the library copies no more than it is told.
    auto* bytes = reinterpret_cast<uint8_t*>(arena_.region()->base() + at);
    errno = 0;
    const int got = library_.recv(handle_.get(), &bytes, end - at, &header_, 0);
    if (got == 0 || got == kErrorNoPacket) return;
    if (got < 0) return fail(result_error(settings_.uri, "pfring_recv", got));
    const SlotHeader& head = header_.head;
    const bool outgoing = head.received == 0 && head.interface != 0;
    if (outgoing && settings_.direction == Direction::kIn) continue;
    const uint32_t caplen = std::min({head.caplen, head.wirelen, end - at});
    uint32_t keep = std::min(caplen, info_.snaplen);
    if (filter_.judged() != Judged::kNone) {
      keep = std::min(keep, filter_.keep(arena_.region()->base() + at, head.wirelen, caplen));
      if (keep == 0) continue;
    }
    const int64_t kernel_ns = head.seconds * 1'000'000'000 + head.microseconds * 1000;
    const auto time_ns = static_cast<int64_t>(head.time_ns);
    const bool kernel_time = head.time_ns - static_cast<uint64_t>(kernel_ns) < 1000;
    const bool nic_time = settings_.hardware_time && !kernel_time && time_ns != 0;
    const uint32_t flags = (outgoing ? uint32_t{kFlagOutgoing} : 0) | (nic_time ? uint32_t{kFlagHardwareTime} : 0);
    block.set_basic(count_, at, keep, head.wirelen, (kernel_time || nic_time ? time_ns : kernel_ns) - info_.epoch_ns,
                    flags);
    block.hash[count_] = head.hash;
    count_++;
    delivered_++;
    delivered_bytes_ += head.wirelen;
    at += (keep + kAlignment - 1) & ~(kAlignment - 1);
  }
}

Readiness LibrarySource::readiness() const noexcept {
  if (!watch_) return {};
  return {.kind = Readiness::Kind::kFd, .fd = watch_->fd(), .gather_ms = settings_.gather_ms};
}

void LibrarySource::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
}

// What the library calls received is what we have read.
void LibrarySource::collect() const noexcept {
  if (!handle_) return;
  LibraryStats now{};
  if (library_.stats(handle_.get(), &now) == 0) dropped_ = now.dropped;
  if (library_.get_num_queued_pkts != nullptr) pending_ = library_.get_num_queued_pkts(handle_.get());
}

Stats LibrarySource::stats() const noexcept {
  collect();
  Stats stats{.delivered = delivered_,
              .filtered = filter_.filtered(),
              .dropped = dropped_,
              .pending = pending_,
              .delivered_bytes = delivered_bytes_,
              .drops = {{"ring", dropped_}, {"nic", std::nullopt}},
              .details = {}};
  stats.received = stats.delivered + stats.filtered + stats.dropped + stats.pending;
  return stats;
}

void LibrarySource::close() noexcept {
  if (!handle_) return;
  collect();
  watch_.reset();
  tx_.reset();
  // WHY: a libpfring built without hiredis does not let go of its socket, whose place in the cluster would take packets
  // from the others.
  if (settings_.cluster != 0 && library_.remove_from_cluster != nullptr) library_.remove_from_cluster(handle_.get());
  if (const int fd = library_.get_selectable_fd(handle_.get()); fd >= 0 && is_module_socket(fd)) {
    const uint32_t off = 0;
    setsockopt(fd, 0, kDeactivate, &off, sizeof off);
  }
  handle_.reset();
  info_.segments.clear();
}

}  // namespace ringtap::pfring
