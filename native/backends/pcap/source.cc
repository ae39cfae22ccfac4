#include "backends/pcap/source.h"

#include <algorithm>
#include <cstring>

#include "core/clock.h"
#include "core/link_type.h"
#include "core/snaplen.h"
#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/validate.h"
#include "libpcap/link_type.h"

namespace ringtap::pcap {
namespace {

constexpr uint32_t kOutgoingPacket = 4;
constexpr uint32_t kPacketAlignment = 8;
constexpr int64_t kSecond = 1'000'000'000;

// How often receive() reads libpcap's 32-bit counters, so that none wraps unseen.
constexpr uint32_t kBatchesPerRefresh = 4096;
// How many bufferfuls may be rejected whole before receive() comes back: it must not go on for ever.
constexpr int kFruitlessRounds = 16;

Program accept_all(uint32_t snaplen) { return {{.code = bpf::kRet | bpf::kK, .k = snaplen}}; }

uint32_t half_at(const std::byte* at) {
  return std::to_integer<uint32_t>(at[0]) << 8 | std::to_integer<uint32_t>(at[1]);
}

Readiness readiness_of(const LibPcap& library, pcap_t* handle) {
  const int fd = library.get_selectable_fd != nullptr ? library.get_selectable_fd(handle) : -1;
  const timeval* timeout =
      library.get_required_select_timeout != nullptr ? library.get_required_select_timeout(handle) : nullptr;
  if (fd >= 0 && timeout == nullptr) return {.kind = Readiness::Kind::kFd, .fd = fd};
  Readiness poll{.kind = Readiness::Kind::kPoll};
  if (timeout != nullptr && timeout->tv_sec == 0) {
    poll.max_sleep_us = std::clamp<uint32_t>(static_cast<uint32_t>(timeout->tv_usec), 1, poll.max_sleep_us);
  }
  return poll;
}

}  // namespace

Result<std::unique_ptr<Source>> PcapSource::open(const LibPcap& library, const OpenRequest& request) {
  auto session = open_session(library, request);
  if (!session) return std::move(session).error();
  auto arena = Arena::allocate(static_cast<uint64_t>(request.options.integer("bufferBytes", 64 << 20)), kMaxSnaplen);
  if (!arena) return std::move(arena).error();
  std::unique_ptr<PcapSource> source(new PcapSource(library, *std::move(session), *std::move(arena), request));
  const auto prepared = source->open_up();
  if (!prepared) return prepared.error();
  return std::unique_ptr<Source>(std::move(source));
}

PcapSource::PcapSource(const LibPcap& library, PcapSession session, Arena arena, const OpenRequest& request)
    : library_(library),
      session_(std::move(session)),
      arena_(std::move(arena)),
      target_(request.target),
      direction_(requested_direction(request.options)),
      snaplen_(
          static_cast<uint32_t>(std::clamp<int64_t>(request.options.integer("snaplen", kMaxSnaplen), 1, kMaxSnaplen))) {
  pcap_t* const handle = session_.handle.get();
  info_.link_type = static_cast<uint32_t>(dlt_to_linktype(library.datalink(handle)));
  info_.epoch_ns = epoch_now_ns();
  info_.snaplen = snaplen_;
  info_.segments = {
      Segment{.region = arena_.region(), .base = arena_.region()->base(), .bytes = arena_.region()->bytes()}};
  info_.max_leases = arena_.chunks();
  info_.copies = true;
  info_.mode = "copy";
  info_.timestamp_source = session_.hardware_time ? "hardware" : "kernel";
  info_.notes = session_.notes;
  readiness_ = readiness_of(library, handle);
  if (session_.silent) socket_ = PacketSocket::of(readiness_.fd);
}

/// Nothing arrives before start(): the socket still listens to kSilentProtocol.
Result<Ok> PcapSource::open_up() {
  if (socket_) return socket_->attach(kernel_program(accept_all(snaplen_)));
  return Ok{};
}

bool PcapSource::cooked() const noexcept {
  return info_.link_type == kLinkLinuxSll || info_.link_type == kLinkLinuxSll2;
}

/// WHY the direction: libpcap tells directions apart behind the kernel's counters, which would break the ledger.
Program PcapSource::kernel_program(const Program& program) const {
  return with_direction_prefix(program, direction_, loopback_index());
}

Result<FilterPlacement> PcapSource::set_filter(std::shared_ptr<Filter> filter) {
  if (started_) return Error{.message = "pcap: set_filter after start", .hint = {}, .syscall = {}};
  using Place = FilterTarget::Place;
  const auto program =
      filter->program({static_cast<int>(info_.link_type), socket_ && !cooked() ? Place::kPacketSocket : Place::kBytes});
  if (!program) return program.error();
  guess_metadata(**program);
  return place_in_kernel(**program);
}

/// Which types of packet are left to us to decide. WHY guessed: libpcap does not tell, and of most filters that ask for
/// it (`inbound and udp`) the kernel can sort out all but one way.
void PcapSource::guess_metadata(const Program& program) {
  const uint32_t interface = index_of(target_);
  const bool asks = socket_ && !cooked() && metadata_reads(program).packet_type;
  if (!asks) possible_ = {{.type = 0, .interface = interface}};
  for (uint32_t type = 0; asks && type <= kOutgoingPacket; type++) {
    const bool outgoing = type == kOutgoingPacket;
    if ((direction_ == Direction::kIn && outgoing) || (direction_ == Direction::kOut && !outgoing)) continue;
    if (has_loop(program) || may_accept(program, type)) {
      possible_.push_back({.type = type, .interface = interface});
    } else {
      hopeless_.push_back(type);
    }
  }
}

#if defined(__linux__)

Result<FilterPlacement> PcapSource::place_in_kernel(const Program& program) {
  if (!socket_) {
    return place_in_user_space(program, "libpcap before 1.9, or not a network interface: no filter in the kernel");
  }
  if (cooked()) return place_in_user_space(program, "the kernel sees no cooked headers");
  const bool strips_tags = info_.link_type == kLinkEthernet;
  const auto attach = [&](const Program& kernel) {
    const Program capped = cap_snaplen(kernel, snaplen_);
    const auto attached =
        socket_->attach(kernel_program(strips_tags ? with_vlan_prefix(capped, kMaxSnaplen, hopeless_) : capped));
    return attached ? std::string() : attached.error().message;
  };
  FilterPlacement placed =
      filter_.place(program, {.attach = attach, .left = strips_tags ? Judged::kTagged : Judged::kNone});
  if (placed.where == FilterPlace::kUser) return place_in_user_space(program, std::move(placed.reason));
  if (strips_tags) placed.reason += either_way();
  return placed;
}

#else

Result<FilterPlacement> PcapSource::place_in_kernel(const Program& program) {
  Program capped = cap_snaplen(program, snaplen_);
  PcapProgram install{.length = static_cast<unsigned>(capped.size()), .instructions = capped.data()};
  if (library_.setfilter(session_.handle.get(), &install) != 0) {
    return place_in_user_space(program, library_.geterr(session_.handle.get()));
  }
  return FilterPlacement{.where = FilterPlace::kKernel, .reason = "as far as libpcap tells"};
}

#endif

Result<FilterPlacement> PcapSource::place_in_user_space(const Program& program, std::string reason) {
  if (socket_) {
    // Whole packets, so that the filter sees what it would see on the wire.
    const auto attached = socket_->attach(kernel_program(without_types(accept_all(kMaxSnaplen), hopeless_)));
    if (!attached) return attached.error();
  }
  return filter_.place_here(program, std::move(reason) + either_way());
}

/// Of in- and outgoing packets, if both may match: broadcast and the like is incoming, too.
std::string PcapSource::either_way() const {
  const bool ambiguous = possible_.size() > 1 && possible_.back().type == kOutgoingPacket;
  return ambiguous ? "; as libpcap does not tell which way they went, they match if they would either way" : "";
}

Result<Ok> PcapSource::start() {
  if (socket_) {
    auto listening = socket_->listen();
    if (!listening) {
      listening.error().message = target_ + ": " + listening.error().message;
      return listening;
    }
  }
  started_ = true;
  return Ok{};
}

void PcapSource::on_packet(unsigned char* self, const PcapHeader* header, const unsigned char* bytes) {
  // SAFETY: `self` is what dispatch() passed; bytes are bytes.
  reinterpret_cast<PcapSource*>(self)->take(*header, reinterpret_cast<const std::byte*>(bytes));
}

uint32_t PcapSource::accepted_length(const PcapHeader& header, const std::byte* bytes) noexcept {
  // A frame whose tag was not stripped has been decided, and cut, by the kernel; stripped ones come whole.
  const bool tagged = header.caplen >= header.len && has_vlan_tag(bytes, header.caplen);
  if (!filter_.judges(tagged)) return snaplen_;
  return std::min(filter_.run(bytes, header.len, header.caplen, possible_), snaplen_);
}

uint32_t PcapSource::flags_of(const std::byte* bytes, uint32_t caplen) const noexcept {
  const bool outgoing =
      direction_ == Direction::kOut ||
      (info_.link_type == kLinkLinuxSll && caplen >= 2 && half_at(bytes) == kOutgoingPacket) ||
      (info_.link_type == kLinkLinuxSll2 && caplen >= 11 && std::to_integer<uint32_t>(bytes[10]) == kOutgoingPacket);
  uint32_t flags = outgoing ? uint32_t{kFlagOutgoing} : 0;
  if (session_.hardware_time) flags |= kFlagHardwareTime;
  return flags;
}

void PcapSource::take(const PcapHeader& header, const std::byte* bytes) noexcept {
  // SAFETY: a capture module of libpcap's may give more packets than it was asked for.
  if (filling_.count == filling_.most) {
    unasked_++;
    return;
  }
  const uint32_t accepted = accepted_length(header, bytes);
  if (filter_.used_up()) library_.breakloop(session_.handle.get());
  if (accepted == 0) return;
  // SAFETY: dispatch() breaks off while a packet of kMaxSnaplen bytes still fits; this holds even if libpcap gives
  // more.
  const uint32_t caplen = std::min({accepted, header.caplen, filling_.end - filling_.next});
  std::memcpy(arena_.region()->base() + filling_.next, bytes, caplen);

  const int64_t time_ns = static_cast<int64_t>(header.ts.tv_sec) * kSecond - info_.epoch_ns +
                          static_cast<int64_t>(header.ts.tv_usec) * session_.fraction_ns;
  filling_.block->set_basic(filling_.count++, filling_.next, caplen, header.len, time_ns,
                            flags_of(bytes, header.caplen));
  delivered_bytes_ += header.len;

  filling_.next += (caplen + kPacketAlignment - 1) & ~(kPacketAlignment - 1);
  if (filling_.end - filling_.next < kMaxSnaplen) library_.breakloop(session_.handle.get());
}

/// Fills the batch from what has arrived. Negative if that failed.
int PcapSource::dispatch(uint32_t max) noexcept {
  for (int round = 0; round < kFruitlessRounds; round++) {
    // SAFETY: libpcap hands the pointer back to on_packet() and keeps no copy.
    const int status = library_.dispatch(session_.handle.get(), static_cast<int>(max), on_packet,
                                         reinterpret_cast<unsigned char*>(this));
    if (filling_.count > 0 || status == 0 || filter_.used_up()) return status;
    if (status < 0 && status != kPcapErrorBreak) return status;
  }
  return 0;
}

RxBatch PcapSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (failed_) return {.rx = Rx::kError};
  if (arena_.exhausted()) return {.rx = Rx::kNoBuffer};

  max = std::min(max, block.capacity());
  if (!started_ || max == 0) return {.rx = Rx::kAgain};
  if (!session_.handle) {
    fail({.code = Code::kClosed, .message = target_ + ": the capture is closed", .hint = {}, .syscall = {}});
    return {.rx = Rx::kError};
  }

  // Asked before libpcap does: it would take the indication and wait for the interface to come back.
  if (socket_ && socket_->went_down()) down_ = true;
  const uint32_t chunk = arena_.next_offset();
  filling_ = {.block = &block, .next = chunk, .end = chunk + arena_.chunk_bytes(), .most = max};
  filter_.renew();
  const int status = dispatch(max);
  if (status < 0 && status != kPcapErrorBreak) handle_error();

  if (filling_.count > 0) {
    delivered_ += filling_.count;
    if (++batches_since_refresh_ == kBatchesPerRefresh) {
      batches_since_refresh_ = 0;
      counters_.refresh(library_, session_.handle.get());
    }
    return {.rx = Rx::kOk, .count = filling_.count, .link_type = info_.link_type, .lease = arena_.lend()};
  }
  if (down_ && !failed_) check_interface();
  return {.rx = failed_ ? Rx::kError : Rx::kAgain};
}

void PcapSource::handle_error() noexcept {
  const std::string text = library_.geterr(session_.handle.get());
  const bool gone = text.find("disappeared") != std::string::npos;
  const bool down = text.find("went down") != std::string::npos || text.find("not up") != std::string::npos;
  if (socket_ && (gone || down)) {
    down_ = true;  // and packets may still come: check_interface() waits for them
    return;
  }
  fail({.code = gone   ? Code::kInterfaceGone
                : down ? Code::kInterfaceDown
                       : Code::kSystem,
        .message = target_ + ": " + text,
        .hint = {},
        .syscall = "pcap_dispatch"});
}

/// The interface went down and nothing is readable: an error once nothing can come any more.
void PcapSource::check_interface() noexcept {
  counters_.refresh(library_, session_.handle.get());
  // The kernel hands over its last block when the timeout has passed, and wakes the reader with it.
  if (in_ring() > 0) return;
  if (socket_->is_gone()) {
    fail({.code = Code::kInterfaceGone, .message = target_ + ": the interface was removed", .hint = {}, .syscall = {}});
  } else {
    fail({.code = Code::kInterfaceDown, .message = target_ + ": the interface went down", .hint = {}, .syscall = {}});
  }
}

void PcapSource::fail(Error error) noexcept {
  error_ = std::move(error);
  failed_ = true;
}

/// Packets that the kernel has accepted and nobody has seen; known where the socket is libpcap's alone.
uint64_t PcapSource::in_ring() const noexcept {
  const uint64_t seen = delivered_ + filter_.filtered() + unasked_ + counters_.dropped;
  return socket_ && counters_.received > seen ? counters_.received - seen : 0;
}

Stats PcapSource::stats() const noexcept {
  if (session_.handle) counters_.refresh(library_, session_.handle.get());
  Stats stats{.delivered = delivered_,
              .filtered = filter_.filtered(),
              .dropped = counters_.dropped + unasked_,
              .pending = in_ring(),
              .delivered_bytes = delivered_bytes_,
              .drops = {{"ring", counters_.dropped + unasked_}, {"nic", std::nullopt}}};
  stats.received = stats.delivered + stats.filtered + stats.dropped + stats.pending;
  return stats;
}

void PcapSource::close() noexcept {
  if (!session_.handle) return;
  counters_.refresh(library_, session_.handle.get());
  session_.handle.reset();
}

}  // namespace ringtap::pcap
