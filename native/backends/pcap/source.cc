#include "backends/pcap/source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "backends/pcap/cooked.h"
#include "core/link_type.h"
#include "core/snaplen.h"

namespace ringtap::pcap {
namespace {

constexpr uint32_t kPacketAlignment = 8;
constexpr int64_t kSecond = 1'000'000'000;

// How often receive() reads libpcap's 32-bit counters, so that none wraps unseen.
constexpr uint32_t kBatchesPerRefresh = 4096;
// How many bufferfuls may be rejected whole before receive() comes back: it must not go on for ever.
constexpr int kFruitlessRounds = 16;

uint32_t half_at(const std::byte* at) {
  return std::to_integer<uint32_t>(at[0]) << 8 | std::to_integer<uint32_t>(at[1]);
}

}  // namespace

Result<Ok> PcapSource::start() {
  if (socket_) {
    auto listening = socket_->listen();
    if (!listening) {
      listening.error().message = uri_ + ": " + listening.error().message;
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

void PcapSource::take(const PcapHeader& given, const std::byte* bytes) noexcept {
  // SAFETY: a capture module of libpcap's may give more packets than it was asked for.
  if (filling_.count == filling_.most) {
    unasked_++;
    return;
  }
  std::byte* const to = arena_.region()->base() + filling_.next;
  PcapHeader header = given;
  if (session_.cooked) {
    header.caplen = to_sll2(bytes, given.caplen, to, filling_.end - filling_.next);
    header.len += kCookedGrowth;
    bytes = to;
  }
  const uint32_t accepted = accepted_length(header, bytes);
  if (filter_.used_up()) library_.breakloop(session_.handle.get());
  if (accepted == 0) return;
  // SAFETY: dispatch() breaks off while a packet of kMaxSnaplen bytes still fits; this holds even if libpcap gives
  // more.
  const uint32_t caplen = std::min({accepted, header.caplen, filling_.end - filling_.next});
  if (bytes != to) std::memcpy(to, bytes, caplen);

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
    fail({.code = Code::kClosed, .message = uri_ + ": the capture is closed", .hint = {}, .syscall = {}});
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
  // What is no packet socket (nflog) says of an empty queue that it could not be read.
  if (text.ends_with(std::generic_category().message(EAGAIN))) return;
  const bool gone = text.find("disappeared") != std::string::npos;
  const bool down = text.find("went down") != std::string::npos || text.find("not up") != std::string::npos;
  if (socket_ && (gone || down)) {
    down_ = true;  // and packets may still come: check_interface() waits for them
    return;
  }
  fail({.code = gone   ? Code::kInterfaceGone
                : down ? Code::kInterfaceDown
                       : Code::kSystem,
        .message = uri_ + ": " + text,
        .hint = {},
        .syscall = "pcap_dispatch"});
}

/// The interface went down and nothing is readable: an error once nothing can come any more.
void PcapSource::check_interface() noexcept {
  counters_.refresh(library_, session_.handle.get());
  // The kernel hands over its last block when the timeout has passed, and wakes the reader with it.
  if (in_ring() > 0) return;
  if (socket_->is_gone()) {
    fail({.code = Code::kInterfaceGone, .message = uri_ + ": the interface was removed", .hint = {}, .syscall = {}});
  } else {
    fail({.code = Code::kInterfaceDown, .message = uri_ + ": the interface went down", .hint = {}, .syscall = {}});
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
              .drops = {{"ring", counters_.dropped + unasked_}, {"nic", std::nullopt}},
              .details = {}};
  stats.received = stats.delivered + stats.filtered + stats.dropped + stats.pending;
  return stats;
}

void PcapSource::close() noexcept {
  if (!session_.handle) return;
  tx_.reset();
  counters_.refresh(library_, session_.handle.get());
  session_.handle.reset();
}

}  // namespace ringtap::pcap
