#include "backends/afpacket/inline_nic.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "backends/afpacket/guard.h"
#include "core/byte_order.h"
#include "core/clock.h"
#include "linux/address_claims.h"
#include "linux/interface.h"
#include "linux/link_news.h"
#include "linux/packet_socket.h"

namespace ringtap::afpacket {

namespace {

using forward::Drop;
using forward::Frame;
using forward::Ledger;
using forward::Mac;

constexpr uint32_t kBatch = 64;
constexpr uint32_t kMostFrame = 14 + 8 + 65536;  // an aggregate with its tags
constexpr uint32_t kSlot = (forward::kHeadroom + kMostFrame + 63) & ~63u;
constexpr uint32_t kControl = 128;
constexpr int kSocketBytes = 16 << 20;
constexpr int kRoomMs = 5;           // how long a full way out is waited for
constexpr int kIgnoreOutgoing = 23;  // PACKET_IGNORE_OUTGOING

/// A struct virtio_net_hdr, whose own header is no C++.
struct OffloadHeader {
  uint8_t flags;
  uint8_t kind;
  uint16_t header_bytes;
  uint16_t segment_bytes;
  uint16_t sum_start;
  uint16_t sum_offset;
};
static_assert(sizeof(OffloadHeader) == 10);

struct Queued {
  Frame frame;
  Ledger* ledger;
};

Drop reason(int err) noexcept {
  switch (err) {
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
      return Drop::kLinkDown;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return Drop::kNoBuffer;
    default:
      return Drop::kRefused;
  }
}

class InlineNic final : public forward::Nic {
 public:
  InlineNic(Interface interface, const Mac& mac, UniqueFd socket, LinkEvents events, Guard guard)
      : interface_(std::move(interface)),
        mac_(mac),
        socket_(std::move(socket)),
        events_(std::move(events)),
        guard_(std::move(guard)),
        claims_(interface_.index, interface_.name, "inline"),
        tunnel_claims_(interface_.index, interface_.name, "geneve"),
        memory_(std::make_unique_for_overwrite<std::byte[]>(size_t{kBatch} * kSlot)) {
    queue_.reserve(kBatch);
  }

  const std::string& name() const noexcept override { return interface_.name; }
  const Mac& mac() const noexcept override { return mac_; }
  int fd() const noexcept override { return socket_.get(); }
  int news_fd() const noexcept override { return events_.fd(); }

  State state() noexcept override {
    const LinkNews news = events_.read();
    const bool is_up = is_running(events_.fd(), interface_);
    return {.is_up = is_up, .mtu = interface_.mtu, .downs = news.downs};
  }

  std::span<Frame> receive() noexcept override {
    for (uint32_t i = 0; i < kBatch; i++) {
      incoming_[i][0] = {&headers_[i], sizeof(OffloadHeader)};
      incoming_[i][1] = {memory_.get() + size_t{i} * kSlot + forward::kHeadroom, kMostFrame};
      messages_[i] = {};
      messages_[i].msg_hdr.msg_iov = incoming_[i].data();
      messages_[i].msg_hdr.msg_iovlen = incoming_[i].size();
      messages_[i].msg_hdr.msg_control = controls_[i].data();
      messages_[i].msg_hdr.msg_controllen = kControl;
    }
    const int count = recvmmsg(fd(), messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    uint32_t kept = 0;
    for (int i = 0; i < count; i++) {
      if (auto frame = frame_of(static_cast<uint32_t>(i))) frames_[kept++] = *frame;
    }
    return {frames_.data(), kept};
  }

  uint64_t missed() noexcept override {
    if (const auto counts = take_packet_counts(fd())) missed_ += counts->drops;
    return missed_;
  }

  void queue(const Frame& frame, Ledger* ledger) override { queue_.push_back({frame, ledger}); }

  void flush(const Done& done) override {
    size_t at = 0;
    while (at < queue_.size()) at += send_some(at, done);
    queue_.clear();
  }

  Result<Ok> guard(const std::vector<forward::Address>& addresses) override {
    const bool hears_groups =
        std::any_of(addresses.begin(), addresses.end(), [](const forward::Address& one) { return one.v6; });
    if (hears_groups && !std::exchange(hears_groups_, true)) {
      packet_mreq membership{};
      membership.mr_ifindex = interface_.index;
      membership.mr_type = PACKET_MR_ALLMULTI;  // neighbour solicitations come to a group of each address
      if (setsockopt(fd(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0) {
        return system_error(Code::kSystem, name() + ": frames to groups", "setsockopt(PACKET_ADD_MEMBERSHIP)", errno);
      }
    }
    const auto keys = keys_of(addresses);
    if (auto done = claims_.set(keys); !done) return done;
    return guard_.is_there() ? guard_.set(keys, AddressSet::What::kAll) : Result<Ok>(Ok{});
  }

  Result<Ok> guard_tunnels(const std::vector<forward::Address>& addresses) override {
    if (addresses.empty() && !guard_.is_there()) return Ok{};
    const auto keys = keys_of(addresses);
    if (auto done = tunnel_claims_.set(keys); !done) return done;
    if (guard_.is_there()) return guard_.set(keys, AddressSet::What::kGeneve);
    return Error{.code = Code::kUnsupported,
                 .message = name() + ": this kernel cannot keep GENEVE from the host, which would refuse it",
                 .hint = "Linux 6.6 can."};
  }

 private:
  /// Nothing of a frame that is too long, or was sent from here.
  std::optional<Frame> frame_of(uint32_t i) noexcept {
    msghdr& message = messages_[i].msg_hdr;
    const size_t bytes = messages_[i].msg_len;
    if (bytes < sizeof(OffloadHeader) || (message.msg_flags & MSG_TRUNC) != 0) {
      missed_++;
      return std::nullopt;
    }
    const OffloadHeader& header = headers_[i];
    Frame frame{.data = memory_.get() + size_t{i} * kSlot + forward::kHeadroom,
                .length = static_cast<uint32_t>(bytes - sizeof(OffloadHeader)),
                .offload = {.flags = static_cast<uint8_t>(header.flags & forward::Offload::kNeedsSum),
                            .kind = header.kind,
                            .header_bytes = header.header_bytes,
                            .segment_bytes = header.segment_bytes,
                            .sum_start = header.sum_start,
                            .sum_offset = header.sum_offset}};
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_level == SOL_PACKET && one->cmsg_type == PACKET_AUXDATA) {
        tpacket_auxdata told;
        std::memcpy(&told, CMSG_DATA(one), sizeof told);
        if ((told.tp_status & TP_STATUS_VLAN_VALID) != 0) put_tag(frame, told);
      } else if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_TIMESTAMPNS) {
        timespec time;
        std::memcpy(&time, CMSG_DATA(one), sizeof time);
        frame.time_ns = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
      }
    }
    if (frame.time_ns == 0) frame.time_ns = unix_now_ns();
    return frame;
  }

  /// The kernel has taken the outer VLAN tag out: it is put back.
  static void put_tag(Frame& frame, const tpacket_auxdata& told) noexcept {
    constexpr uint32_t kTag = 4, kMacs = 12;
    if (frame.length < kMacs) return;
    const uint16_t type = (told.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? told.tp_vlan_tpid : ETHERTYPE_VLAN;
    frame.data -= kTag;
    std::memmove(frame.data, frame.data + kTag, kMacs);
    store_big<uint16_t>(frame.data + kMacs, type);
    store_big<uint16_t>(frame.data + kMacs + 2, told.tp_vlan_tci);
    frame.length += kTag;
    if (frame.offload.is_partial()) frame.offload.sum_start += kTag;
    if (frame.offload.header_bytes > 0) frame.offload.header_bytes += kTag;
  }

  /// @returns how many of the queue are done with
  size_t send_some(size_t at, const Done& done) {
    const auto count = static_cast<uint32_t>(std::min<size_t>(kBatch, queue_.size() - at));
    for (uint32_t i = 0; i < count; i++) {
      const Frame& frame = queue_[at + i].frame;
      outgoing_headers_[i] = {.flags = frame.offload.flags,
                              .kind = frame.offload.kind,
                              .header_bytes = frame.offload.header_bytes,
                              .segment_bytes = frame.offload.segment_bytes,
                              .sum_start = frame.offload.sum_start,
                              .sum_offset = frame.offload.sum_offset};
      outgoing_[i][0] = {&outgoing_headers_[i], sizeof(OffloadHeader)};
      outgoing_[i][1] = {frame.data, frame.length};
      outgoing_messages_[i] = {};
      outgoing_messages_[i].msg_hdr.msg_iov = outgoing_[i].data();
      outgoing_messages_[i].msg_hdr.msg_iovlen = outgoing_[i].size();
    }
    int sent = sendmmsg(fd(), outgoing_messages_.data(), count, MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) {
      pollfd room{.fd = fd(), .events = POLLOUT, .revents = 0};
      if (poll(&room, 1, kRoomMs) > 0) sent = sendmmsg(fd(), outgoing_messages_.data(), count, MSG_DONTWAIT);
    }
    if (sent < 0) {
      // The first one was refused; those behind it may be good.
      done(queue_[at].frame, queue_[at].ledger, reason(errno));
      return 1;
    }
    for (int i = 0; i < sent; i++) done(queue_[at + i].frame, queue_[at + i].ledger, std::nullopt);
    return static_cast<size_t>(sent);
  }

  Interface interface_;
  const Mac mac_;
  UniqueFd socket_;
  LinkEvents events_;
  Guard guard_;
  AddressClaims claims_, tunnel_claims_;
  bool hears_groups_ = false;
  uint64_t missed_ = 0;

  const std::unique_ptr<std::byte[]> memory_;
  std::array<OffloadHeader, kBatch> headers_;
  std::array<std::array<iovec, 2>, kBatch> incoming_;
  std::array<mmsghdr, kBatch> messages_;
  alignas(cmsghdr) std::array<std::array<std::byte, kControl>, kBatch> controls_;
  std::array<Frame, kBatch> frames_;

  std::vector<Queued> queue_;
  std::array<OffloadHeader, kBatch> outgoing_headers_;
  std::array<std::array<iovec, 2>, kBatch> outgoing_;
  std::array<mmsghdr, kBatch> outgoing_messages_;
};

}  // namespace

Result<std::unique_ptr<forward::Nic>> open_inline_nic(const std::string& name) {
  UniqueFd socket = open_packet_socket(SOCK_RAW);
  if (!socket) {
    if (errno == EPERM || errno == EACCES) return packet_right_refused(name + ": a packet socket", "socket", errno);
    return system_error(Code::kSystem, name + ": a packet socket", "socket", errno);
  }
  auto interface = query_ethernet(socket.get(), name, "inline");
  if (!interface) return std::move(interface).error();
  const auto mac = hardware_address(socket.get(), *interface);
  if (!mac) return mac.error();
  auto events = LinkEvents::open(interface->index, name);
  if (!events) return std::move(events).error();
  // WHY before the socket hears anything: what it takes the host must not see.
  auto guard = Guard::open(interface->index, interface->name);
  if (!guard) return std::move(guard).error();

  const int on = 1;
  struct Option {
    int level, name;
    const char* call;
  };
  for (const Option& option : {Option{SOL_PACKET, PACKET_VNET_HDR, "setsockopt(PACKET_VNET_HDR)"},
                               Option{SOL_PACKET, PACKET_AUXDATA, "setsockopt(PACKET_AUXDATA)"},
                               Option{SOL_PACKET, kIgnoreOutgoing, "setsockopt(PACKET_IGNORE_OUTGOING)"},
                               Option{SOL_SOCKET, SO_TIMESTAMPNS, "setsockopt(SO_TIMESTAMPNS)"}}) {
    if (setsockopt(socket.get(), option.level, option.name, &on, sizeof on) != 0) {
      return system_error(Code::kUnsupported, name + ": this kernel is too old to forward through packet sockets",
                          option.call, errno);
    }
  }
  // Beyond the host's limit where that is allowed; else up to it.
  for (const auto& [forced, plain] : {std::pair(SO_RCVBUFFORCE, SO_RCVBUF), std::pair(SO_SNDBUFFORCE, SO_SNDBUF)}) {
    if (setsockopt(socket.get(), SOL_SOCKET, forced, &kSocketBytes, sizeof kSocketBytes) != 0) {
      setsockopt(socket.get(), SOL_SOCKET, plain, &kSocketBytes, sizeof kSocketBytes);
    }
  }
  if (const int err = bind_packet_socket(socket.get(), interface->index, ETH_P_ALL); err != 0) {
    return system_error(Code::kSystem, name + ": its packets", "bind(AF_PACKET)", err);
  }
  return std::unique_ptr<forward::Nic>(std::make_unique<InlineNic>(*std::move(interface), *mac, std::move(socket),
                                                                   *std::move(events), *std::move(guard)));
}

}  // namespace ringtap::afpacket
