#include "backends/mirror/source.h"

#include <netinet/udp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <exception>
#include <utility>

#include "core/clock.h"
#include "core/link_type.h"
#include "core/untrusted.h"

namespace ringtap::mirror {
namespace {

constexpr size_t kSlotBytes = 65536;
// WHY more: starts that are a power of two apart would share the lines of a cache.
constexpr size_t kStride = kSlotBytes + 4096 + 192;
constexpr size_t kLeastChunks = 4;
constexpr size_t kMostChunks = 64;
// Bursts without a packet to deliver after which a receive() lets others run.
constexpr int kMostEmpty = 16;
// The kernel's own memory for a datagram in a socket's buffer, beside its bytes.
constexpr uint64_t kKernelOverhead = 768;
constexpr int64_t kSecond = 1'000'000'000;

#ifndef UDP_GRO
constexpr int UDP_GRO = 104;
#endif

uint32_t chunks_of(int64_t buffer_bytes, size_t chunk_bytes) {
  const auto half = static_cast<size_t>(buffer_bytes) / 2;
  return static_cast<uint32_t>(std::clamp(half / chunk_bytes, kLeastChunks, kMostChunks));
}

uint64_t now_us() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

MirrorSource::MirrorSource(Setup setup)
    : setup_(std::move(setup)),
      gather_(setup_.timeout_ms, 0, static_cast<uint32_t>(std::min<int64_t>(setup_.buffer_bytes / 2, UINT32_MAX))),
      chunks_(chunks_of(setup_.buffer_bytes, kSlots * kStride)),
      holds_(chunks_.size()),
      leases_(chunks_.size()) {
  info_.mode = "socket";
  info_.timestamp_source = "kernel";
  info_.epoch_ns = epoch_now_ns();
  info_.link_type = kLinkEthernet;
  info_.snaplen = setup_.snaplen;
  info_.max_leases = chunks_.size();
  info_.copies = true;
  info_.tunnels = true;
}

Result<Ok> MirrorSource::prepare() {
  auto region = Region::allocate(size_t{chunks_.size()} * kSlots * kStride);
  if (!region) return std::move(region).error();
  region_ = *std::move(region);
  info_.segments = {{region_, region_->base(), region_->bytes()}};
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return system_error(Code::kSystem, "no descriptor to wait for packets with", "epoll_create1", errno);
  for (uint32_t i = 0; i < kSlots; i++) {
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &senders_[i];
    messages_[i].msg_hdr.msg_control = controls_[i].bytes;
    parts_[i].iov_len = kSlotBytes;
  }
  return Ok{};
}

Result<FilterPlacement> MirrorSource::set_filter(std::shared_ptr<Filter> filter) {
  if (auto set = filter_.set(std::move(filter), {kLinkEthernet, kLinkRaw}); !set) return std::move(set).error();
  return FilterPlacement{.where = FilterPlace::kUser, .reason = "it looks at what is inside of the tunnels"};
}

Result<Ok> MirrorSource::start() {
  auto socket = open_socket({.endpoint = setup_.endpoint,
                             .name = setup_.name,
                             .is_raw = setup_.is_raw,
                             .shares = setup_.shares,
                             .buffer_bytes = setup_.buffer_bytes / 2});
  if (!socket) return std::move(socket).error();
  socket_ = *std::move(socket);
  info_.notes.insert(info_.notes.end(), socket_.notes.begin(), socket_.notes.end());
  if (setup_.health_port != 0) {
    if (auto listening = health_.listen(setup_.endpoint, setup_.health_port); !listening) return listening;
    if (auto watched = watch(health_.fd()); !watched) return watched;
  }
  return watch(socket_.fd.get());
}

Result<Ok> MirrorSource::watch(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return Ok{};
  return system_error(Code::kSystem, "packets cannot be waited for", "epoll_ctl", errno);
}

RxBatch MirrorSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (closed_) return {.rx = Rx::kEof};
  try {
    return receive_checked(block, std::min(max, block.capacity()));
  } catch (const std::exception&) {
    failed_ = true;
    error_ = Error{.code = Code::kNoMemory, .message = "no memory for the filter"};
    return {.rx = Rx::kError};
  }
}

RxBatch MirrorSource::receive_checked(DescBlock& block, uint32_t max) {
  if (failed_) return {.rx = Rx::kError};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  filter_.renew();
  hurrying_ = false;
  for (int empty = 0; empty < kMostEmpty; empty++) {
    if (!burst_.is_there) {
      if (chunks_.empty()) return {.rx = Rx::kNoBuffer};
      if (!fill()) {
        health_.answer();
        gather_.emptied(now_us());
        return {.rx = failed_ ? Rx::kError : Rx::kAgain};
      }
    }
    const uint32_t count = take(block, max);
    const uint32_t chunk = burst_.chunk;
    const bool is_used_up = burst_.at == burst_.count;
    if (is_used_up) burst_.is_there = false;
    if (failed_) return {.rx = Rx::kError};
    if (count > 0) {
      // The last batch of a chunk takes the burst's hold over.
      if (!is_used_up) holds_[chunk]++;
      delivered_ += count;
      return {.rx = Rx::kOk, .count = count, .link_type = part_type_, .lease = *leases_.acquire(chunk)};
    }
    if (!is_used_up) break;  // its filter is still being compiled, or has had its time
    let_go(chunk);
  }
  health_.answer();
  hurrying_ = true;
  return {.rx = Rx::kAgain};
}

/// What waits in the socket, into a chunk.
bool MirrorSource::fill() noexcept {
  std::byte* base = region_->base() + size_t{chunks_.next()} * kSlots * kStride;
  for (uint32_t i = 0; i < kSlots; i++) {
    parts_[i].iov_base = base + i * kStride;
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    messages_[i].msg_hdr.msg_controllen = sizeof(Control);
  }
  const int n = recvmmsg(socket_.fd.get(), messages_.data(), kSlots, MSG_DONTWAIT, nullptr);
  if (n <= 0) {
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNREFUSED) {
      failed_ = true;
      error_ = system_error(Code::kSystem, "mirrored packets cannot be received", "recvmmsg", errno);
    }
    return false;
  }
  burst_ = {};
  burst_.chunk = chunks_.take();
  burst_.count = static_cast<uint32_t>(n);
  burst_.is_there = true;
  holds_[burst_.chunk] = 1;
  uint64_t bytes = 0;
  for (uint32_t i = burst_.count; i-- > 0;) {
    begin(i);
    bytes += burst_.size;
    burst_.pending += (burst_.size - burst_.from + burst_.piece - 1) / burst_.piece;
  }
  gather_.took(burst_.pending, bytes + burst_.count * kKernelOverhead);
  return true;
}

/// An IP header that a raw socket gives, too.
uint64_t MirrorSource::skip_outer(uint32_t message) const noexcept {
  if (!setup_.is_raw || senders_[message].ss_family != AF_INET || messages_[message].msg_len < 20) return 0;
  // SAFETY: a slot has room for more, and what it says is checked by whoever uses it.
  const auto first = load_once(static_cast<const uint8_t*>(parts_[message].iov_base));
  return static_cast<uint64_t>(first & 15) * 4;
}

/// The message becomes the one at hand.
void MirrorSource::begin(uint32_t message) noexcept {
  const msghdr& header = messages_[message].msg_hdr;
  burst_.at = message;
  burst_.size = std::min<uint64_t>(messages_[message].msg_len, kSlotBytes);
  burst_.from = std::min(skip_outer(message), burst_.size);
  burst_.piece = std::max<uint64_t>(burst_.size, 1);
  burst_.row = {};
  burst_.row.about = put_source(senders_[message], burst_.row.source) ? uint32_t{kTunnelFrom6} : 0u;
  for (const cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&header), const_cast<cmsghdr*>(control))) {
    if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_TIMESTAMPNS) {
      timespec time{};
      std::memcpy(&time, CMSG_DATA(control), sizeof time);
      burst_.time_ns = int64_t{time.tv_sec} * kSecond + time.tv_nsec - info_.epoch_ns;
    } else if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
      int piece = 0;
      std::memcpy(&piece, CMSG_DATA(control), sizeof piece);
      if (piece > 0) burst_.piece = static_cast<uint64_t>(piece);
    }
  }
}

uint32_t MirrorSource::take(DescBlock& block, uint32_t max) {
  uint32_t n = 0;
  vm_ = nullptr;
  while (n < max && burst_.at < burst_.count) {
    if (!take_one(block, n)) break;
  }
  return n;
}

bool MirrorSource::take_one(DescBlock& block, uint32_t& n) {
  const uint64_t start = (size_t{burst_.chunk} * kSlots + burst_.at) * kStride + burst_.from;
  const uint64_t size = std::min(burst_.piece, burst_.size - burst_.from);
  // SAFETY: the slot lies in the region, and the piece in the slot.
  const std::byte* data = region_->base() + start;
  decode::Inner inner;
  TunnelRow row;
  if (!decode::open_tunnel({data, size}, setup_.kind, inner, row)) {
    not_tunnels_++;
    filtered_++;
    next_piece();
    return true;
  }
  if (n > 0 && inner.link_type != part_type_) return false;
  if (part_type_ != inner.link_type) vm_ = nullptr;
  part_type_ = inner.link_type;
  row.about |= burst_.row.about;
  std::memcpy(row.source, burst_.row.source, sizeof row.source);
  uint32_t keep = std::min(inner.caplen, setup_.snaplen);
  if (filter_.is_set()) {
    if (vm_ == nullptr) {
      auto vm = filter_.soon(inner.link_type);
      if (!vm) {
        failed_ = true;
        error_ = std::move(vm).error();
        return false;
      }
      if (*vm == nullptr) return false;
      vm_ = *vm;
    }
    if (filter_.used_up()) return false;
    keep = std::min(keep, filter_.run(*vm_, data + inner.at, inner.wirelen, inner.caplen, row));
  }
  if (keep == 0) {
    filtered_++;
  } else {
    block.set_basic(n, static_cast<uint32_t>(start + inner.at), keep, inner.wirelen, burst_.time_ns, 0);
    if (block.tunnel != nullptr) block.tunnel[n] = row;
    delivered_bytes_ += inner.wirelen;
    n++;
  }
  next_piece();
  return true;
}

void MirrorSource::next_piece() noexcept {
  burst_.pending -= std::min<uint64_t>(burst_.pending, 1);
  burst_.from += burst_.piece;
  if (burst_.from < burst_.size) return;
  burst_.at++;
  if (burst_.at < burst_.count) begin(burst_.at);
}

bool MirrorSource::release(Lease lease) noexcept {
  const auto chunk = leases_.release(lease);
  if (!chunk) return false;
  let_go(*chunk);
  return true;
}

void MirrorSource::let_go(uint32_t chunk) noexcept {
  if (--holds_[chunk] == 0) chunks_.give(chunk);
}

Readiness MirrorSource::readiness() const noexcept {
  return {.kind = Readiness::Kind::kFd,
          .fd = epoll_.get(),
          .owned = true,
          .gather_ms = gather_.ms(),
          .again_ms = hurrying_ ? 1u : 0u};
}

void MirrorSource::count_drops() const noexcept {
  if (!socket_.fd) return;
  const uint32_t now = kernel_drops(socket_.fd.get());
  dropped_ += now - std::exchange(last_drops_, now);
}

Stats MirrorSource::stats() const noexcept {
  count_drops();
  Stats stats;
  stats.delivered = delivered_;
  stats.delivered_bytes = delivered_bytes_;
  stats.filtered = filtered_;
  stats.dropped = dropped_;
  stats.pending = burst_.is_there ? burst_.pending : 0;
  stats.received = stats.delivered + stats.filtered + stats.dropped + stats.pending;
  stats.drops = {{"ring", dropped_}};
  stats.details = {{"notTunnels", not_tunnels_}};
  if (setup_.health_port != 0) stats.details.push_back({"healthChecks", health_.answered()});
  return stats;
}

void MirrorSource::close() noexcept {
  if (std::exchange(closed_, true)) return;
  count_drops();
  health_.close();
  socket_.fd.reset();
  epoll_.reset();
  info_.segments.clear();
  region_.reset();
}

}  // namespace ringtap::mirror
