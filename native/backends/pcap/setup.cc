// Before the capture starts: the handle, the memory, and the filter in its place.
#include <algorithm>

#include "backends/pcap/source.h"
#include "core/clock.h"
#include "core/link_type.h"
#include "core/snaplen.h"
#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/validate.h"
#include "libpcap/link_type.h"

namespace ringtap::pcap {
namespace {

Program accept_all(uint32_t snaplen) { return {{.code = bpf::kRet | bpf::kK, .k = snaplen}}; }

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
      uri_(request.uri),
      target_(request.target),
      direction_(requested_direction(request.options)),
      snaplen_(
          static_cast<uint32_t>(std::clamp<int64_t>(request.options.integer("snaplen", kMaxSnaplen), 1, kMaxSnaplen))) {
  pcap_t* const handle = session_.handle.get();
  info_.link_type = session_.cooked ? kLinkLinuxSll2 : static_cast<uint32_t>(dlt_to_linktype(library.datalink(handle)));
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
  if (request.purpose == Purpose::kCapture && PcapTx::can_send(library, info_.link_type, target_))
    tx_ = std::make_unique<PcapTx>(library, request, info_.link_type);
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

}  // namespace ringtap::pcap
