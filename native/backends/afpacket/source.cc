#include "backends/afpacket/source.h"

#include <linux/filter.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "backends/afpacket/socket.h"
#include "core/snaplen.h"
#include "linux/packet_socket.h"
#include "linux/silent_protocol.h"

namespace ringtap::afpacket {

namespace {

constexpr int kMaxFruitlessBlocks = 8;
constexpr uint32_t kPrefetchAhead = 2048;
constexpr uint32_t kBlocksPerCollect = 4096;
constexpr int64_t kGatherTimeouts = 5;
constexpr int64_t kMostGatherMs = 200;
/// How late the kernel's timer may retire a block.
constexpr uint64_t kPatienceUs = 200'000;

uint64_t clock_us() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

/// How long packets gather under load. WHY five timeouts: 64 MiB take 10 Gbit/s for 50 ms, should it begin meanwhile.
/// Of several that share the packets each gets a part of them, so that its ring takes as much longer to fill.
uint32_t most_ms(const Options& options, uint32_t shares) {
  const int64_t wanted = kGatherTimeouts * shares * options.integer("timeoutMs", 10);
  return static_cast<uint32_t>(std::min<int64_t>(wanted, kMostGatherMs));
}

Error cannot_start(const std::string& what, const char* call, int err) {
  if (err == EPERM || err == EACCES) return packet_right_refused(what, call, err);
  const Code code = err == ENODEV || err == ENXIO ? Code::kNoInterface
                    : err == ENETDOWN             ? Code::kInterfaceDown
                                                  : Code::kSystem;
  return system_error(code, what, call, err);
}

}  // namespace

AfPacket::AfPacket(UniqueFd fd, Target target, std::unique_ptr<Ring> ring, SourceInfo info, const OpenRequest& request,
                   std::shared_ptr<FanoutGroup> group)
    : uri_(request.uri),
      name_(request.target),
      target_(std::move(target)),
      restorer_(target_),
      direction_(requested_direction(request.options)),
      wants_promiscuous_(request.options.flag("promiscuous", true) && target_.index != 0),
      inline_vlan_(request.options.text("vlan", "inline") == "inline"),
      fanout_(static_cast<uint32_t>(request.options.integer("share"))),
      fanout_mode_(request.options.text("shareMode", "hash")),
      group_(std::move(group)),
      fd_(std::move(fd)),
      tx_(request.purpose == Purpose::kCapture ? sender_on(target_, request.options.flag("bypass", true)) : nullptr),
      ring_(std::move(ring)),
      info_(std::move(info)),
      leases_(info_.max_leases),
      gather_(most_ms(request.options, group_ ? group_->members() : 1), 0, ring_->block_count()),
      retire_us_(static_cast<uint64_t>(request.options.integer("timeoutMs", 10)) * 1000) {}

Result<FilterPlacement> AfPacket::set_filter(std::shared_ptr<Filter> filter) {
  using Place = FilterTarget::Place;
  auto program =
      filter->program({static_cast<int>(info_.link_type), target_.cooked ? Place::kBytes : Place::kPacketSocket});
  if (!program) return std::move(program).error();
  if (target_.cooked) {
    return filter_.place_here(**program, "the kernel filters cooked packets before their SLL2 header exists");
  }
  const auto attach_to_socket = [this](const Program& kernel) {
    const int err = attach_filter(fd_.get(), kernel_program(&kernel));
    return err == 0 ? std::string() : "the kernel refused the program: " + std::string(std::strerror(err));
  };
  FilterPlacement placed = filter_.place(**program, {.attach = attach_to_socket});
  if (placed.where == FilterPlace::kKernel) kernel_filter_ = **program;
  return placed;
}

Result<Ok> AfPacket::start() {
  // WHY: fanout can be joined only after bind; a filter that rejects everything closes the gap in between.
  const bool gate = fanout_ != 0 || group_;
  const Program program = kernel_program(kernel_filter_ ? &*kernel_filter_ : nullptr);
  if (const int err = gate ? reject_all(fd_.get()) : attach_filter(fd_.get(), program); err != 0) {
    return cannot_start(uri_ + ": cannot attach the filter", "setsockopt(SO_ATTACH_FILTER)", err);
  }
  if (const int err = bind_packet_socket(fd_.get(), target_.index, ETH_P_ALL); err != 0) {
    return cannot_start(uri_ + ": bind", "bind", err);
  }
  if (wants_promiscuous_) {
    if (const int err = promiscuous_.enter(fd_.get(), target_.index); err != 0) {
      return cannot_start(uri_ + ": promiscuous mode", "setsockopt(PACKET_ADD_MEMBERSHIP)", err);
    }
  }
  if (group_) return group_->join(fd_.get(), program);
  return gate ? join_group(program) : Ok{};
}

/// Joins the fanout group and lets packets through its `program`.
Result<Ok> AfPacket::join_group(const Program& program) {
  const auto mode = fanout_mode(fanout_mode_);
  if (!mode) return Error{.code = Code::kBadOption, .message = uri_ + ": shareMode=" + fanout_mode_};
  if (const int err = join_fanout(fd_.get(), fanout_, *mode); err != 0) {
    return cannot_start(uri_ + ": cannot join the fanout group (another mode or interface uses it?)",
                        "setsockopt(PACKET_FANOUT)", err);
  }
  if (const int err = attach_filter(fd_.get(), program); err != 0) {
    return cannot_start(uri_ + ": cannot attach the filter", "setsockopt(SO_ATTACH_FILTER)", err);
  }
  return Ok{};
}

/// What the socket runs on each packet: direction, then the filter for untagged packets, then the cut to snaplen.
/// What is decided in user space comes whole, and is cut there.
Program AfPacket::kernel_program(const Program* filter) const {
  const bool all_here = filter_.judged() == Judged::kAll;
  const Program tail = filter != nullptr ? with_vlan_prefix(cap_snaplen(*filter, info_.snaplen), kMaxSnaplen)
                                         : Program{{BPF_RET | BPF_K, 0, 0, all_here ? kMaxSnaplen : info_.snaplen}};
  return with_direction_prefix(tail, direction_, kLoopbackIndex);
}

RxBatch AfPacket::receive(DescBlock& block, uint32_t max) noexcept {
  if (!fd_) return {.rx = Rx::kEof};
  if (failed_) return {.rx = Rx::kError};
  if (leases_.full()) return {.rx = Rx::kNoBuffer};
  filter_.renew();
  // WHY: a filter that rejects everything must not keep the caller here; the fd stays readable.
  for (int blocks = 0; blocks < kMaxFruitlessBlocks && !filter_.used_up(); blocks++) {
    while (!ring_->has_packets()) {
      const Ring::Next next = ring_->advance();
      if (next == Ring::Next::kHeld) return {.rx = Rx::kNoBuffer};
      if (next == Ring::Next::kEmpty) {
        // WHY only then: it is a system call, and a wake-up that brought packets has no news.
        return {.rx = gather_.emptied(clock_us()) ? Rx::kAgain : check_interface()};
      }
      gather_.took(ring_->remaining(), 1);
      // WHY: the kernel counts in 32 bits, which wrap within the hour where nobody asks for statistics.
      if (++blocks_walked_ % kBlocksPerCollect == 0) collect();
    }
    const uint32_t count = walk(block, max);
    if (count > 0) {
      ring_->lend();
      return {.rx = Rx::kOk,
              .count = count,
              .segment = ring_->segment(),
              .link_type = info_.link_type,
              .lease = *leases_.acquire(ring_->block())};
    }
    ring_->settle();
  }
  return {.rx = Rx::kAgain};
}

/// Fills descriptors from the current block until it, or `max`, is used up.
uint32_t AfPacket::walk(DescBlock& block, uint32_t max) noexcept {
  uint32_t count = 0;
  uint64_t bytes = 0;
  const uint32_t snaplen = info_.snaplen;
  const uint32_t start = ring_->offset_in_segment();
  const bool special = target_.cooked || filter_.judged() == Judged::kAll;
  Walk walk = ring_->walk();
  while (count < max && walk.has_packets()) {
    const std::optional<Frame> frame = walk.peek();
    if (!frame) {
      damaged_ += walk.skip();
      break;
    }
    std::byte* at = walk.at();
    // Two lines, because a small frame hardly takes more. They come from the cache of the kernel's core.
    __builtin_prefetch(at + kPrefetchAhead);
    __builtin_prefetch(at + kPrefetchAhead + 64);
    PacketDesc desc{.offset = start + walk.offset() + frame->data,
                    .caplen = frame->caplen,
                    .wirelen = frame->wirelen,
                    .time_ns = (int64_t{frame->seconds} - epoch_seconds_) * 1'000'000'000 + frame->nanoseconds,
                    .hash = frame->hash};
    if (at[kAddressAt + offsetof(sockaddr_ll, sll_pkttype)] == std::byte{PACKET_OUTGOING}) {
      desc.flags |= kFlagOutgoing;
    }
    if ((frame->status & TP_STATUS_TS_RAW_HARDWARE) != 0) desc.flags |= kFlagHardwareTime;
    walk.pop(*frame);
    if (special || (frame->status & TP_STATUS_VLAN_VALID) != 0) {
      const bool kept = finish(*frame, at, desc);
      if (filter_.used_up()) max = 0;  // this one was the last
      if (!kept) continue;
    }
    block.set_basic(count, desc.offset, std::min(desc.caplen, snaplen), desc.wirelen, desc.time_ns, desc.flags);
    block.hash[count] = desc.hash;
    block.vlan[count] = desc.vlan;
    bytes += desc.wirelen;
    count++;
  }
  ring_->set_walk(walk);
  delivered_bytes_ += bytes;
  delivered_ += count;
  return count;
}

/// The rare cases: a VLAN tag to put back, a cooked header to write, a filter to run. False: it is rejected, or
/// damaged.
bool AfPacket::finish(const Frame& frame, std::byte* at, PacketDesc& desc) noexcept {
  if (!restorer_.takes_header(frame)) {
    damaged_++;
    return false;
  }
  const bool tagged = (frame.status & TP_STATUS_VLAN_VALID) != 0;
  const bool insert = tagged && restorer_.takes_tag(frame);
  const sockaddr_ll from = address_of(at);
  PacketDesc whole = desc;  // as on the wire
  const std::byte* data = restorer_.write(frame, at, from, insert, whole);
  const PacketMetadata metadata{.type = from.sll_pkttype, .interface = static_cast<uint32_t>(from.sll_ifindex)};
  const uint32_t keep =
      filter_.judges(tagged) ? filter_.run(data, whole.wirelen, whole.caplen, metadata) : filter_.kept();
  if (insert && !inline_vlan_) {
    restorer_.take_tag_out(frame, at, from, desc);
  } else {
    desc = whole;
  }
  if (tagged && !(insert && inline_vlan_)) {
    desc.vlan = frame.vlan_tci;
    desc.flags |= kFlagVlan;
  }
  desc.caplen = std::min(desc.caplen, keep);
  return keep != 0;
}

bool AfPacket::release(Lease lease) noexcept {
  const auto block = leases_.release(lease);
  if (!block) return false;
  if (ring_) ring_->give_back(*block);
  return true;
}

/// The ring is empty: is there still an interface behind it?
Rx AfPacket::check_interface() noexcept {
  if (!is_down()) {
    const int err = take_socket_error(fd_.get());
    if (err == 0) return Rx::kAgain;
    if (err != ENETDOWN) return fail(system_error(Code::kSystem, uri_ + ": the socket failed", "poll", err));
    down_until_us_ = clock_us() + retire_us_ + kPatienceUs;
  }
  // Packets of a block that is not retired yet still come. WHY not for ever: in a ring that JS has scribbled over, they
  // may have been passed by.
  if (stats().pending > 0 && clock_us() < down_until_us_) return Rx::kAgain;
  char name[IF_NAMESIZE];
  const bool gone = lost_interface(fd_.get()) || !interface_name(fd_.get(), target_.index, name);
  return fail(
      {.code = gone ? Code::kInterfaceGone : Code::kInterfaceDown,
       .message = uri_ + ": interface \"" + (gone ? name_ + "\" was removed" : name + std::string("\" went down")),
       .syscall = "poll",
       .err = ENETDOWN});
}

Rx AfPacket::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
  return Rx::kError;
}

void AfPacket::collect() const noexcept {
  if (!fd_) return;
  const auto counts = take_packet_counts(fd_.get());
  if (!counts) return;
  kernel_packets_ += counts->packets;
  kernel_drops_ += counts->drops;
}

Stats AfPacket::stats() const noexcept {
  collect();
  Stats s;
  s.delivered = delivered_;
  s.delivered_bytes = delivered_bytes_;
  s.filtered = filter_.filtered();
  s.dropped = kernel_drops_ + damaged_;
  // WHY: a ring that JS has scribbled over may seem to hold more packets than the kernel has counted.
  const uint64_t known = s.delivered + s.filtered + s.dropped;
  s.received = std::max(kernel_packets_, known);
  s.pending = s.received - known;
  s.drops = {{"ring", kernel_drops_}, {"damaged", damaged_}, {"nic", std::nullopt}};
  return s;
}

void AfPacket::close() noexcept {
  if (!fd_) return;
  tx_.reset();
  collect();
  const std::weak_ptr<Region> region = info_.segments.front().region;
  info_.segments.clear();
  ring_.reset();
  if (!region.expired()) fall_silent();
  promiscuous_.leave();
  fd_.reset();
}

/// WHY: the mapping keeps the socket alive for as long as somebody holds the region. Until then it must not receive.
void AfPacket::fall_silent() noexcept {
  reject_all(fd_.get());
  promiscuous_.leave();
  bind_packet_socket(fd_.get(), target_.index,
                     kSilentProtocol);  // refused in a fanout group: there only the filter keeps it silent
}

}  // namespace ringtap::afpacket
