#include "backends/afpacket/afpacket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>

#include "backends/afpacket/gather.h"
#include "backends/afpacket/interface.h"
#include "backends/afpacket/ring.h"
#include "core/unique_fd.h"
#include "filter/prepend.h"
#include "filter/vm.h"
#include "linux/interface.h"

namespace ringtap {

namespace {

using afpacket::Frame;
using afpacket::Interface;
using afpacket::Ring;

constexpr uint32_t kEthernet = 1;
constexpr uint32_t kSll2Bytes = 20;
constexpr uint32_t kMacBytes = 12;
constexpr uint32_t kTagBytes = 4;
constexpr uint32_t kWhole = 262144;           // an accept length beyond every packet
constexpr uint16_t kSilentProtocol = 0xffff;  // an EtherType that no packet has
constexpr int kMaxFruitlessBlocks = 8;
constexpr uint32_t kPrefetchAhead = 2048;
constexpr uint32_t kBlocksPerCollect = 4096;

template <class T>
int set_option(int fd, int name, const T& value) {
  return setsockopt(fd, SOL_PACKET, name, &value, sizeof value) == 0 ? 0 : errno;
}

Error no_permission(const std::string& uri, int err) {
  return system_error(Code::kNoPermission, uri + ": an AF_PACKET socket needs CAP_NET_RAW", "socket", err);
}

Direction direction_of(const std::string& name) {
  return name == "in" ? Direction::kIn : name == "out" ? Direction::kOut : Direction::kBoth;
}

uint64_t clock_us() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

int attach(int fd, const Program& program) {
  std::vector<sock_filter> insns;
  insns.reserve(program.size());
  for (const BpfInsn& i : program) insns.push_back({i.code, i.jt, i.jf, i.k});
  const sock_fprog request{static_cast<unsigned short>(insns.size()), insns.data()};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &request, sizeof request) == 0 ? 0 : errno;
}

class AfPacket final : public Source {
 public:
  AfPacket(UniqueFd fd, Interface interface, std::unique_ptr<Ring> ring, SourceInfo info, const OpenRequest& request)
      : uri_(request.uri),
        name_(request.target),
        interface_(interface),
        direction_(direction_of(request.options.text("direction", "both"))),
        promiscuous_(request.options.flag("promiscuous", true)),
        inline_vlan_(request.options.text("vlan", "inline") == "inline"),
        fanout_(static_cast<uint32_t>(request.options.integer("share"))),
        fanout_mode_(request.options.text("shareMode", "hash")),
        fd_(std::move(fd)),
        ring_(std::move(ring)),
        info_(std::move(info)),
        leases_(info_.max_leases),
        gather_(static_cast<uint32_t>(request.options.integer("timeoutMs", 10)), info_.max_leases + 1) {}

  ~AfPacket() override { close(); }

  const SourceInfo& info() const noexcept override { return info_; }

  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override {
    using Place = FilterTarget::Place;
    auto program =
        filter->program({static_cast<int>(info_.link_type), interface_.cooked ? Place::kBytes : Place::kPacketSocket});
    if (!program) return std::move(program).error();
    vm_.emplace(**program, FilterVm::Metadata::kIsRead);
    if (interface_.cooked) {
      filter_all_ = true;
      return FilterPlacement{"user", "the kernel filters cooked packets before their SLL2 header exists"};
    }
    std::string obstacle = kernel_obstacle(**program);
    if (obstacle.empty()) {
      if (const int err = attach(fd_.get(), kernel_program(*program)); err != 0) {
        obstacle = "the kernel refused the program: " + std::string(std::strerror(err));
      }
    }
    if (!obstacle.empty()) {
      filter_all_ = special_ = true;
      return FilterPlacement{"user", std::move(obstacle)};
    }
    kernel_filter_ = **program;
    return FilterPlacement{"kernel",
                           "VLAN-tagged frames are decided in user space, where their tag is back in the bytes"};
  }

  Result<Ok> start() override {
    const auto failed = [&](const char* what, const char* call, int err) {
      const Code code = err == ENODEV || err == ENXIO ? Code::kNoInterface
                        : err == EPERM                ? Code::kNoPermission
                        : err == ENETDOWN             ? Code::kInterfaceDown
                                                      : Code::kSystem;
      return system_error(code, uri_ + ": " + what, call, err);
    };
    // WHY: fanout can be joined only after bind; a filter that rejects everything closes the gap in between.
    const bool gate = fanout_ != 0;
    const Program program = kernel_program(kernel_filter_ ? &*kernel_filter_ : nullptr);
    if (const int err = attach(fd_.get(), gate ? Program{{BPF_RET | BPF_K, 0, 0, 0}} : program); err != 0) {
      return failed("cannot attach the filter", "setsockopt(SO_ATTACH_FILTER)", err);
    }
    if (const int err = bind_to(ETH_P_ALL); err != 0) return failed("bind", "bind", err);
    if (const auto request = promiscuous_request()) {
      if (const int err = set_option(fd_.get(), PACKET_ADD_MEMBERSHIP, *request); err != 0) {
        return failed("promiscuous mode", "setsockopt(PACKET_ADD_MEMBERSHIP)", err);
      }
    }
    if (gate) {
      static constexpr struct {
        const char* name;
        uint32_t mode;
      } kModes[] = {{"hash", PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG},
                    {"lb", PACKET_FANOUT_LB},
                    {"cpu", PACKET_FANOUT_CPU},
                    {"rollover", PACKET_FANOUT_ROLLOVER},
                    {"rnd", PACKET_FANOUT_RND},
                    {"qm", PACKET_FANOUT_QM}};
      const auto* mode =
          std::find_if(std::begin(kModes), std::end(kModes), [&](const auto& m) { return fanout_mode_ == m.name; });
      if (mode == std::end(kModes))
        return Error{.code = Code::kBadOption, .message = uri_ + ": shareMode=" + fanout_mode_};
      if (const int err = set_option(fd_.get(), PACKET_FANOUT, fanout_ | mode->mode << 16); err != 0) {
        return failed("cannot join the fanout group (another mode or interface uses it?)", "setsockopt(PACKET_FANOUT)",
                      err);
      }
      if (const int err = attach(fd_.get(), program); err != 0) {
        return failed("cannot attach the filter", "setsockopt(SO_ATTACH_FILTER)", err);
      }
    }
    return Ok{};
  }

  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    if (interrupted_.exchange(false, std::memory_order_relaxed)) return {.rx = Rx::kInterrupted};
    if (!fd_) return {.rx = Rx::kEof};
    if (failed_) return {.rx = Rx::kError};
    if (leases_.full()) return {.rx = Rx::kNoBuffer};
    budget_.renew();
    // WHY: a filter that rejects everything must not keep the caller here; the fd stays readable.
    for (int blocks = 0; blocks < kMaxFruitlessBlocks && !budget_.used_up(); blocks++) {
      while (!ring_->has_packets()) {
        const Ring::Next next = ring_->advance();
        if (next == Ring::Next::kHeld) return {.rx = Rx::kNoBuffer};
        if (next == Ring::Next::kEmpty) {
          gather_.emptied(clock_us());
          return {.rx = check_interface()};
        }
        gather_.took_block(ring_->remaining());
        // WHY: the kernel counts in 32 bits, which wrap within the hour where nobody asks for statistics.
        if (++blocks_walked_ % kBlocksPerCollect == 0) {
          const std::scoped_lock lock(stats_mutex_);
          collect();
        }
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

  bool release(Lease lease) noexcept override {
    const auto block = leases_.release(lease);
    if (!block) return false;
    if (ring_) ring_->give_back(*block);
    return true;
  }

  Readiness readiness() const noexcept override {
    return {.kind = Readiness::Kind::kFd, .fd = fd_.get(), .gather_ms = gather_.ms()};
  }

  void interrupt() noexcept override { interrupted_.store(true, std::memory_order_relaxed); }

  Stats stats() const noexcept override {
    const std::scoped_lock lock(stats_mutex_);
    Stats s;
    // Read before the kernel's count: a packet in between must not make pending negative.
    s.delivered = delivered_.load(std::memory_order_acquire);
    s.delivered_bytes = delivered_bytes_.load(std::memory_order_relaxed);
    s.filtered = filtered_.load(std::memory_order_acquire);
    const uint64_t damaged = damaged_.load(std::memory_order_acquire);
    collect();
    s.dropped = kernel_drops_ + damaged;
    // WHY: a ring that JS has scribbled over may seem to hold more packets than the kernel has counted.
    const uint64_t known = s.delivered + s.filtered + s.dropped;
    s.received = std::max(kernel_packets_, known);
    s.pending = s.received - known;
    s.drops = {{"ring", kernel_drops_}, {"damaged", damaged}, {"nic", std::nullopt}};
    return s;
  }

  const Error& error() const noexcept override { return error_; }

  void close() noexcept override {
    if (!fd_) return;
    const std::scoped_lock lock(stats_mutex_);
    collect();
    const std::weak_ptr<Region> region = info_.segments.front().region;
    info_.segments.clear();
    ring_.reset();
    if (!region.expired()) fall_silent();
    fd_.reset();
  }

 private:
  // WHY: the mapping keeps the socket alive for as long as somebody holds the region. Until then it must not receive.
  void fall_silent() noexcept {
    attach(fd_.get(), {{BPF_RET | BPF_K, 0, 0, 0}});
    if (const auto request = promiscuous_request()) set_option(fd_.get(), PACKET_DROP_MEMBERSHIP, *request);
    bind_to(kSilentProtocol);  // refused in a fanout group: there only the filter keeps it silent
  }

  int bind_to(uint16_t protocol) const noexcept {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = interface_.index;
    // SAFETY: bind() takes every address family through sockaddr.
    return bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  }

  std::optional<packet_mreq> promiscuous_request() const noexcept {
    if (!promiscuous_ || interface_.index == 0) return std::nullopt;
    packet_mreq request{};
    request.mr_ifindex = interface_.index;
    request.mr_type = PACKET_MR_PROMISC;
    return request;
  }

  // What the socket runs on each packet: direction, then the filter for untagged packets, then the cut to snaplen.
  // What is decided in user space comes whole, and is cut there.
  Program kernel_program(const Program* filter) const {
    const Program tail = filter != nullptr ? with_vlan_prefix(cap_snaplen(*filter, info_.snaplen), kWhole)
                                           : Program{{BPF_RET | BPF_K, 0, 0, vm_ ? kWhole : info_.snaplen}};
    return with_direction_prefix(tail, direction_, kLoopbackIndex);
  }

  // Fills descriptors from the current block until it, or `max`, is used up.
  uint32_t walk(DescBlock& block, uint32_t max) noexcept {
    uint32_t count = 0;
    uint64_t bytes = 0;
    uint32_t filtered = 0;
    const uint32_t snaplen = info_.snaplen;
    const uint32_t start = ring_->offset_in_segment();
    afpacket::Walk walk = ring_->walk();
    while (count < max && walk.has_packets()) {
      const std::optional<Frame> frame = walk.peek();
      if (!frame) {
        damaged_.fetch_add(walk.skip(), std::memory_order_release);
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
      if (at[afpacket::kAddressAt + offsetof(sockaddr_ll, sll_pkttype)] == std::byte{PACKET_OUTGOING}) {
        desc.flags |= kFlagOutgoing;
      }
      if ((frame->status & TP_STATUS_TS_RAW_HARDWARE) != 0) desc.flags |= kFlagHardwareTime;
      walk.pop(*frame);
      if (special_ || (frame->status & TP_STATUS_VLAN_VALID) != 0) {
        const bool kept = finish(*frame, at, desc);
        if (budget_.used_up()) max = 0;  // this one was the last
        if (!kept) {
          filtered++;
          continue;
        }
      }
      block.set_basic(count, desc.offset, std::min(desc.caplen, snaplen), desc.wirelen, desc.time_ns, desc.flags);
      block.hash[count] = desc.hash;
      block.vlan[count] = desc.vlan;
      bytes += desc.wirelen;
      count++;
    }
    ring_->set_walk(walk);
    delivered_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (filtered > 0) filtered_.fetch_add(filtered, std::memory_order_release);
    delivered_.fetch_add(count, std::memory_order_release);
    return count;
  }

  // The rare cases: a VLAN tag to put back, a cooked header to write, a filter to run. False rejects the packet.
  bool finish(const Frame& frame, std::byte* at, PacketDesc& desc) noexcept {
    if (interface_.cooked && frame.data < afpacket::kFrameHead + kSll2Bytes) return false;
    const bool tagged = (frame.status & TP_STATUS_VLAN_VALID) != 0;
    const bool insert = tagged && takes_tag(frame);
    const sockaddr_ll from = address_of(at);
    PacketDesc whole = desc;  // as on the wire
    std::byte* data = at + frame.data;
    if (insert) data = interface_.cooked ? push_cooked_tag(data, frame, from, whole) : push_tag(data, frame, whole);
    if (interface_.cooked) data = push_sll2(data, insert ? htons(tpid_of(frame)) : from.sll_protocol, from, whole);
    const bool decide = vm_ && (filter_all_ || tagged);
    const PacketMetadata metadata{.type = from.sll_pkttype, .interface = static_cast<uint32_t>(from.sll_ifindex)};
    const uint32_t keep = decide ? vm_->run(data, whole.wirelen, whole.caplen, budget_, metadata) : kWhole;
    if (insert && !inline_vlan_) {
      if (!interface_.cooked) std::memmove(data + kTagBytes, data, kMacBytes);
      if (interface_.cooked) push_sll2(at + frame.data, from.sll_protocol, from, desc);
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

  /// Is there a place for the tag that the kernel took out, and room for it?
  bool takes_tag(const Frame& frame) const noexcept {
    if (interface_.cooked) return frame.data >= afpacket::kFrameHead + kSll2Bytes + kTagBytes;
    return info_.link_type == kEthernet && frame.caplen >= kMacBytes && frame.data >= afpacket::kFrameHead + kTagBytes;
  }

  static uint16_t tpid_of(const Frame& frame) noexcept {
    return (frame.status & TP_STATUS_VLAN_TPID_VALID) != 0 ? frame.vlan_tpid : uint16_t{ETH_P_8021Q};
  }

  static sockaddr_ll address_of(const std::byte* at) noexcept {
    sockaddr_ll from;
    std::memcpy(&from, at + afpacket::kAddressAt, sizeof from);
    return from;
  }

  static std::byte* push_tag(std::byte* data, const Frame& frame, PacketDesc& desc) noexcept {
    std::memmove(data - kTagBytes, data, kMacBytes);
    data -= kTagBytes;
    const uint16_t tag[2] = {htons(tpid_of(frame)), htons(frame.vlan_tci)};
    std::memcpy(data + kMacBytes, tag, sizeof tag);
    grow(desc, kTagBytes);
    return data;
  }

  // Behind the cooked header, whose protocol then is the tag's.
  static std::byte* push_cooked_tag(std::byte* data, const Frame& frame, const sockaddr_ll& from,
                                    PacketDesc& desc) noexcept {
    data -= kTagBytes;
    const uint16_t tag[2] = {htons(frame.vlan_tci), from.sll_protocol};
    std::memcpy(data, tag, sizeof tag);
    grow(desc, kTagBytes);
    return data;
  }

  static void grow(PacketDesc& desc, uint32_t bytes) {
    desc.offset -= bytes;
    desc.caplen += bytes;
    desc.wirelen += bytes;
  }

  // LINKTYPE_LINUX_SLL2, tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
  static std::byte* push_sll2(std::byte* data, uint16_t protocol, const sockaddr_ll& from, PacketDesc& desc) noexcept {
    struct {
      uint16_t protocol;
      uint16_t reserved;
      uint32_t ifindex;
      uint16_t arphrd;
      uint8_t type;
      uint8_t address_bytes;
      uint8_t address[8];
    } sll2{protocol,       0, htonl(static_cast<uint32_t>(from.sll_ifindex)), htons(from.sll_hatype), from.sll_pkttype,
           from.sll_halen, {}};
    static_assert(sizeof sll2 == kSll2Bytes);
    std::memcpy(sll2.address, from.sll_addr, sizeof sll2.address);
    std::memcpy(data - kSll2Bytes, &sll2, sizeof sll2);
    grow(desc, kSll2Bytes);
    return data - kSll2Bytes;
  }

  // The ring is empty: is there still an interface behind it?
  Rx check_interface() noexcept {
    if (!down_) {
      int err = 0;
      socklen_t length = sizeof err;
      if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &err, &length) != 0 || err == 0) return Rx::kAgain;
      if (err != ENETDOWN) {
        return fail(system_error(Code::kSystem, uri_ + ": the socket failed", "poll", err));
      }
      down_ = true;
    }
    // Packets of a block that is not retired yet still come; its timer makes the socket readable.
    if (stats().pending > 0) return Rx::kAgain;
    char name[IF_NAMESIZE];
    const bool gone = !interface_name(fd_.get(), interface_.index, name);
    return fail(
        {.code = gone ? Code::kInterfaceGone : Code::kInterfaceDown,
         .message = uri_ + ": interface \"" + (gone ? name_ + "\" was removed" : name + std::string("\" went down")),
         .syscall = "poll",
         .err = ENETDOWN});
  }

  Rx fail(Error error) noexcept {
    error_ = std::move(error);
    failed_ = true;
    return Rx::kError;
  }

  // WHY: PACKET_STATISTICS counts since the last read, and on V3 tp_packets includes tp_drops.
  void collect() const noexcept {
    if (!fd_) return;
    tpacket_stats_v3 now{};
    socklen_t length = sizeof now;
    if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &now, &length) != 0) return;
    kernel_packets_ += now.tp_packets;
    kernel_drops_ += now.tp_drops;
  }

  const std::string uri_;
  const std::string name_;
  const Interface interface_;
  const Direction direction_;
  const bool promiscuous_;
  const bool inline_vlan_;
  const uint32_t fanout_;
  const std::string fanout_mode_;
  UniqueFd fd_;
  std::unique_ptr<Ring> ring_;
  SourceInfo info_;
  LeaseTable leases_;
  afpacket::Gather gather_;
  const int64_t epoch_seconds_ = info_.epoch_ns / 1'000'000'000;
  std::optional<FilterVm> vm_;
  FilterBudget budget_;
  std::optional<Program> kernel_filter_;
  bool filter_all_ = false;  // vm_ decides every packet, not only tagged ones
  bool special_ = interface_.cooked;
  bool down_ = false;
  uint32_t blocks_walked_ = 0;
  bool failed_ = false;
  Error error_;
  std::atomic<bool> interrupted_{false};
  std::atomic<uint64_t> delivered_{0};
  std::atomic<uint64_t> delivered_bytes_{0};
  std::atomic<uint64_t> filtered_{0};
  std::atomic<uint64_t> damaged_{0};
  mutable std::mutex stats_mutex_;
  mutable uint64_t kernel_packets_ = 0;
  mutable uint64_t kernel_drops_ = 0;
};

}  // namespace

Result<std::unique_ptr<Source>> open_afpacket(const OpenRequest& request) {
  const Options& options = request.options;
  const std::string& uri = request.uri;
  // Protocol 0: nothing arrives before start() binds.
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    if (errno == EPERM || errno == EACCES) return no_permission(uri, errno);
    return system_error(errno == EAFNOSUPPORT ? Code::kBackendMissing : Code::kSystem, uri + ": AF_PACKET", "socket",
                        errno);
  }
  auto interface = afpacket::query_interface(fd.get(), request.target, uri);
  if (!interface) return std::move(interface).error();
  if (!interface->up)
    return Error{.code = Code::kInterfaceDown, .message = uri + ": interface \"" + request.target + "\" is down"};
  if (interface->cooked) {
    fd.reset(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return system_error(Code::kSystem, uri + ": AF_PACKET", "socket", errno);
  }
  if (const int err = set_option(fd.get(), PACKET_VERSION, int{TPACKET_V3}); err != 0) {
    return system_error(Code::kBackendMissing, uri + ": the kernel has no TPACKET_V3", "setsockopt(PACKET_VERSION)",
                        err);
  }

  SourceInfo info;
  info.timestamp_source = "kernel";
  if (options.text("timestamp", "auto") == "hardware" && request.plan_only) {
    info.timestamp_source = "hardware";
    info.notes.push_back("whether " + request.target + " stamps packets is known when the capture opens");
  } else if (options.text("timestamp", "auto") == "hardware") {
    const int err = afpacket::enable_hardware_timestamps(fd.get(), request.target);
    if (err == 0 && set_option(fd.get(), PACKET_TIMESTAMP, int{SOF_TIMESTAMPING_RAW_HARDWARE}) == 0) {
      info.timestamp_source = "hardware";
    } else {
      info.notes.push_back("no hardware timestamps from " + request.target + ": " + std::strerror(err) +
                           "; the kernel's clock is used");
    }
  }

  tpacket_req3 ring_request{};
  ring_request.tp_block_size = static_cast<uint32_t>(options.integer("blockBytes", 256 << 10));
  if (ring_request.tp_block_size < 65536 || ring_request.tp_block_size % 65536 != 0) {
    return Error{
        .code = Code::kBadOption,
        .message = uri + ": blockBytes=" + std::to_string(ring_request.tp_block_size) + " is not a multiple of 65536"};
  }
  const int64_t buffer = options.integer("bufferBytes", 64 << 20);
  ring_request.tp_block_nr = static_cast<uint32_t>(std::max<int64_t>(2, buffer / ring_request.tp_block_size));
  // WHY: V3 does not use frames, but wants their number to add up.
  ring_request.tp_frame_size = 256;
  ring_request.tp_frame_nr = ring_request.tp_block_size / ring_request.tp_frame_size * ring_request.tp_block_nr;
  ring_request.tp_retire_blk_tov = static_cast<uint32_t>(options.integer("timeoutMs", 10));
  ring_request.tp_feature_req_word = TP_FT_REQ_FILL_RXHASH;
  const size_t bytes = size_t{ring_request.tp_block_size} * ring_request.tp_block_nr;
  if (const int err = set_option(fd.get(), PACKET_RX_RING, ring_request); err != 0) {
    return system_error(err == ENOMEM ? Code::kNoMemory : Code::kSystem,
                        uri + ": cannot set up a ring of " + std::to_string(bytes) + " bytes",
                        "setsockopt(PACKET_RX_RING)", err);
  }
  auto region = Region::map(bytes, MAP_SHARED, fd.get());
  if (!region) return system_error(Code::kNoMemory, uri + ": cannot map the ring", "mmap", region.error().err);
  auto ring = std::make_unique<Ring>(*std::move(region), ring_request.tp_block_size, ring_request.tp_block_nr);

  const auto now = std::chrono::system_clock::now().time_since_epoch();
  info.epoch_ns = std::chrono::duration_cast<std::chrono::seconds>(now).count() * 1'000'000'000;
  info.link_type = interface->link_type;
  info.snaplen = static_cast<uint32_t>(options.integer("snaplen", 262144));
  info.segments = ring->segments();
  // Even if each lease pins a block of its own, the kernel keeps one to fill.
  info.max_leases = std::min<uint32_t>(ring_request.tp_block_nr - 1, 1024);
  info.has_hash = true;
  info.has_vlan = true;
  info.mode = "ring";
  if (interface->cooked && request.target != "any") {
    info.notes.push_back(request.target +
                         " has no link-level header that we know: packets carry an SLL2 header instead");
  }
  return std::unique_ptr<Source>(
      std::make_unique<AfPacket>(std::move(fd), *interface, std::move(ring), std::move(info), request));
}

Probe probe_afpacket() {
  const UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (fd) return {.detail = "TPACKET_V3"};
  const int err = errno;
  if (err == EPERM || err == EACCES) return {.available = false, .error = no_permission("afpacket", err)};
  return {.available = false,
          .error = system_error(Code::kBackendMissing, "afpacket: the kernel has no AF_PACKET", "socket", err)};
}

std::vector<Device> devices_afpacket() {
  std::vector<Device> devices;
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct if_nameindex* names = if_nameindex();
  if (names == nullptr) return devices;
  for (const struct if_nameindex* entry = names; entry->if_index != 0; entry++) {
    const auto interface = afpacket::query_interface(fd.get(), entry->if_name, "afpacket");
    if (interface) devices.push_back({entry->if_name, "", interface->up, interface->loopback});
  }
  if_freenameindex(names);
  devices.push_back({"any", "every interface, cooked"});
  return devices;
}

}  // namespace ringtap
