#include "backends/afxdp/inline_nic.h"

#include <linux/bpf.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/device.h"
#include "backends/afxdp/inline_ear.h"
#include "backends/afxdp/inline_frames.h"
#include "backends/afxdp/inline_program.h"
#include "backends/afxdp/memory.h"
#include "core/clock.h"
#include "linux/address_claims.h"
#include "linux/address_set.h"
#include "linux/link_news.h"
#include "linux/sending_link.h"
#include "linux/wait_set.h"

namespace ringtap::afxdp {

namespace {

using forward::Drop;
using forward::Frame;
using forward::Ledger;
using forward::Mac;

constexpr uint32_t kBatch = 64;
constexpr uint32_t kTogether = 32;  // frames that one call sends in copy mode
constexpr uint32_t kTxEntries = 512;
constexpr uint32_t kFewCompletions = 64;                                         // of a queue that nothing is sent on
constexpr uint32_t kMostFilled = 2048, kLeastFilled = 256, kFilledByAll = 8192;  // frames that wait for packets
constexpr uint32_t kXdpHeadroom = 256;
constexpr uint32_t kSmallFrame = 2048, kLargeFrame = 4096;
constexpr uint32_t kLinkHeader = forward::kEthernetBytes + forward::kMostTagBytes;
/// How long a full way out is waited for.
constexpr int kRoomNaps = 50;
constexpr timespec kRoomNap{.tv_sec = 0, .tv_nsec = 100'000};
static_assert(kXdpHeadroom >= forward::kHeadroom);

struct Queued {
  Frame frame;
  Ledger* ledger;
};

struct Queue {
  Xsk xsk;
  uint32_t filled = 0;    // our side of the fill ring
  uint32_t consumed = 0;  // our side of the RX ring
};

class InlineNic final : public forward::Nic {
 public:
  /// What was opened for one, in the order in which it goes on.
  struct Parts {
    Device device;
    Mac mac;
    LinkEvents events;
    InlineEar ear;
    AddressSet addresses;
    UniqueFd xsk_map;
    UniqueFd program;
    std::vector<Queue> queues;
    std::optional<Xsk> sender;
    WaitSet waiting;
    UniqueFd link;
  };

  InlineNic(Parts parts, std::shared_ptr<InlineFrames> frames)
      : frames_(std::move(frames)),
        parts_(std::move(parts)),
        claims_(parts_.device.index, parts_.device.name, "inline"),
        tunnel_claims_(parts_.device.index, parts_.device.name, "geneve"),
        link_(parts_.device) {
    queue_.reserve(kBatch);
    in_hand_.reserve(kBatch);
    for (Queue& queue : parts_.queues) fill(queue);
  }
  ~InlineNic() override {
    // WHY not by closing it alone: a child process that is just being made may hold a copy of the descriptor.
    if (parts_.link) detach_link(parts_.link.get());
  }

  const std::string& name() const noexcept override { return parts_.device.name; }
  const Mac& mac() const noexcept override { return parts_.mac; }
  int fd() const noexcept override { return parts_.waiting.fd(); }
  int news_fd() const noexcept override { return parts_.events.fd(); }

  State state() noexcept override {
    const LinkNews news = parts_.events.read();
    const bool is_up = is_running(parts_.events.fd(), parts_.device);
    return {.is_up = is_up, .mtu = parts_.device.mtu, .downs = news.downs};
  }

  std::span<Frame> receive() noexcept override {
    for (const uint64_t address : in_hand_) frames_->discard(address);
    in_hand_.clear();
    for (Queue& queue : parts_.queues) fill(queue);
    uint32_t count = 0;
    const int64_t now = unix_now_ns();
    for (size_t i = 0; i < parts_.queues.size(); i++)
      take(parts_.queues[(turn_ + i) % parts_.queues.size()], count, now);
    turn_ = (turn_ + 1) % parts_.queues.size();
    if (count > 0) return {received_.data(), count};
    return parts_.ear.listen();
  }

  uint64_t missed() noexcept override {
    uint64_t missed = 0;
    for (const Queue& queue : parts_.queues) {
      const xdp_statistics now = queue.xsk.statistics();
      missed += now.rx_dropped + now.rx_ring_full + now.rx_invalid_descs;
    }
    return missed;
  }

  void queue(const Frame& frame, Ledger* ledger) override { queue_.push_back({frame, ledger}); }

  void flush(const Done& done) override {
    for (size_t at = 0; at < queue_.size();) at += send_some(at, done);
    queue_.clear();
    reap();
    for (Queue& queue : parts_.queues) fill(queue);
  }

  Result<Ok> guard(const std::vector<forward::Address>& addresses) override {
    const bool hears_groups =
        std::any_of(addresses.begin(), addresses.end(), [](const forward::Address& one) { return one.v6; });
    if (hears_groups) {
      if (auto done = parts_.ear.hear_groups(name()); !done) return done;
    }
    const auto keys = keys_of(addresses);
    if (auto done = claims_.set(keys); !done) return done;
    return parts_.addresses.set(keys, AddressSet::What::kAll);
  }

  Result<Ok> guard_tunnels(const std::vector<forward::Address>& addresses) override {
    const auto keys = keys_of(addresses);
    if (auto done = tunnel_claims_.set(keys); !done) return done;
    return parts_.addresses.set(keys, AddressSet::What::kGeneve);
  }

 private:
  /// As many frames as there are places for wait for packets.
  void fill(Queue& queue) noexcept {
    const uint32_t before = queue.filled;
    while (queue.filled - queue.xsk.fill.consumed() < queue.xsk.fill.size()) {
      const auto address = frames_->take();
      if (!address) break;
      queue.xsk.fill[queue.filled++] = *address;
    }
    if (queue.filled != before) queue.xsk.fill.publish(queue.filled);
  }

  void take(Queue& queue, uint32_t& count, int64_t now) noexcept {
    const uint32_t produced = queue.xsk.rx.produced();
    while (queue.consumed != produced && count < kBatch) {
      // SAFETY: the ring is the kernel's, and nobody else's; what it says lies in the shared memory.
      const xdp_desc& entry = queue.xsk.rx[queue.consumed++];
      frames_->receive(entry.addr);
      in_hand_.push_back(entry.addr);
      Frame& frame = received_[count++];
      frame = {.data = frames_->at(entry.addr), .length = entry.len, .time_ns = now};
      forward::find_partial_sum(frame);
    }
    queue.xsk.rx.retire(queue.consumed);
  }

  /// What was sent is free.
  uint32_t reap() noexcept {
    const Ring<uint64_t>& completion = parts_.queues.front().xsk.completion;
    const uint32_t produced = completion.produced();
    const uint32_t count = produced - completed_;
    for (; completed_ != produced; completed_++) frames_->give(completion[completed_]);
    completion.retire(completed_);
    return count;
  }

  /// Where the frame lies to be sent: where it came in, or in a copy. Why it cannot be, else.
  std::optional<Drop> place(Frame& frame, xdp_desc& entry) noexcept {
    if (frame.offload.is_aggregate() || frame.length > frames_->umem().frame_bytes) return Drop::kTooBig;
    if (frame.offload.is_partial()) forward::complete_sum(frame);
    auto address = frames_->send(frame.bytes());
    if (!address) {
      address = frames_->take();
      if (!address) return Drop::kNoBuffer;
      std::memcpy(frames_->at(*address), frame.data, frame.length);
    }
    entry = {.addr = *address, .len = frame.length, .options = 0};
    return std::nullopt;
  }

  /// @returns how many of the queue are done with
  size_t send_some(size_t at, const Done& done) {
    reap();
    const Ring<xdp_desc>& tx = parts_.sender->tx;
    size_t next = at;
    uint32_t count = 0;
    for (; next < queue_.size() && count < kTogether; next++) {
      auto& [frame, ledger] = queue_[next];
      if (producer_ + count - tx.consumed() >= tx.size()) {
        done(frame, ledger, Drop::kNoBuffer);
      } else if (const auto why = place(frame, tx[producer_ + count])) {
        done(frame, ledger, why);
      } else {
        under_way_[count] = &queue_[next];
        lost_[count++].reset();
      }
    }
    if (count == 0) return next - at;
    producer_ += count;
    tx.publish(producer_);
    hand_over(count);
    for (uint32_t i = 0; i < count; i++) done(under_way_[i]->frame, under_way_[i]->ledger, lost_[i]);
    return next - at;
  }

  /// Makes the kernel send what was published last, so many, and finds out which of them it has lost.
  void hand_over(uint32_t count) noexcept {
    const Ring<xdp_desc>& tx = parts_.sender->tx;
    uint32_t sent = 0;       // and given back
    uint32_t next_lost = 0;  // none before it was
    for (int naps = 0;;) {
      const int err = parts_.sender->kick_tx();
      const uint32_t back = reap();
      sent += back;
      if (err == 0) return;
      if (err == EBUSY) {
        // The kernel drops one, says so, and gives it back as if it had gone.
        const uint32_t which = std::min(std::max(sent > 0 ? sent - 1 : 0, next_lost), count - 1);
        lost_[which] = link_.lost() ? Drop::kLinkDown : Drop::kNoBuffer;
        next_lost = which + 1;
      } else if (err == EAGAIN || err == ENOBUFS) {
        if (tx.consumed() == producer_) return;
        if (back > 0) continue;
        if (naps++ == kRoomNaps) return;  // they are the kernel's, and go when there is room
        nanosleep(&kRoomNap, nullptr);
      } else {
        take_back(std::max(sent, next_lost), count, err == ENETDOWN || err == ENXIO || err == ENODEV);
        return;
      }
    }
  }

  /// Frames that the kernel has not looked at. WHY that is allowed: it reads the ring only when this thread calls it.
  void take_back(uint32_t from, uint32_t count, bool is_down) noexcept {
    const Ring<xdp_desc>& tx = parts_.sender->tx;
    for (uint32_t i = count; i > from; i--) {
      lost_[i - 1] = is_down ? Drop::kLinkDown : Drop::kRefused;
      frames_->give(tx[--producer_].addr);
    }
    tx.publish(producer_);
  }

  const std::shared_ptr<InlineFrames> frames_;
  Parts parts_;
  AddressClaims claims_, tunnel_claims_;
  SendingLink link_;
  size_t turn_ = 0;  // the queue that is served first

  std::array<Frame, kBatch> received_;
  std::vector<uint64_t> in_hand_;  // where these lie

  std::vector<Queued> queue_;
  std::array<const Queued*, kTogether> under_way_{};
  std::array<std::optional<Drop>, kTogether> lost_;
  uint32_t producer_ = 0;   // our side of the TX ring
  uint32_t completed_ = 0;  // and of the completion ring
};

/// Frames of a queue that wait for packets.
uint32_t filled_by(const Device& device) {
  return std::bit_floor(std::clamp(kFilledByAll / std::max(1u, device.queues), kLeastFilled, kMostFilled));
}

Result<InlineNic::Parts> begin(const std::string& name) {
  const UniqueFd query = query_socket();
  if (!query) return system_error(Code::kSystem, name + ": interface", "socket", errno);
  const auto interface = query_ethernet(query.get(), name, "inline");
  if (!interface) return interface.error();
  const auto mac = hardware_address(query.get(), *interface);
  if (!mac) return mac.error();
  auto device = query_device(interface->name, name);
  if (!device) return std::move(device).error();
  if (device->mtu + kLinkHeader > kLargeFrame - kXdpHeadroom) {
    return Error{.code = Code::kUnsupported,
                 .message = name + ": by AF_XDP packets of an MTU of " + std::to_string(device->mtu) +
                            " do not fit into a frame of " + std::to_string(kLargeFrame) + " bytes",
                 .hint = "Lower the MTU, or use method: 'afpacket'."};
  }
  auto events = LinkEvents::open(device->index, name);
  if (!events) return std::move(events).error();
  auto ear = InlineEar::open(device->index, name);
  if (!ear) return std::move(ear).error();
  auto addresses = AddressSet::create(name + ": a BPF map of addresses");
  if (!addresses) return std::move(addresses).error();
  auto map = create_map({.type = BPF_MAP_TYPE_XSKMAP, .entries = device->queues, .name = "ringtap_inline"});
  if (!map) return std::move(map).error();
  const auto code = assemble_inline(addresses->map(), map->get());
  if (!code) return code.error();
  auto program = load_program(*code, false);
  if (!program) return std::move(program).error();
  // WHY before there are sockets: who finds another program need not wait for its queue. Nothing is taken yet.
  auto link = attach_xdp(program->get(), device->index, device->name, AttachMode::kNative);
  if (!link) {
    Error error = std::move(link).error();
    if (error.code == Code::kUnsupported) error.hint = "Use method: 'afpacket'.";
    return error;
  }
  auto waiting = WaitSet::open(name);
  if (!waiting) return std::move(waiting).error();
  if (auto added = waiting->add(ear->fd()); !added) return std::move(added).error();
  return InlineNic::Parts{.device = *std::move(device),
                          .mac = *mac,
                          .events = *std::move(events),
                          .ear = *std::move(ear),
                          .addresses = *std::move(addresses),
                          .xsk_map = *std::move(map),
                          .program = *std::move(program),
                          .queues = {},
                          .sender = {},
                          .waiting = *std::move(waiting),
                          .link = *std::move(link)};
}

Result<Ok> bind_to(const Xsk& xsk, const std::string& name) {
  const int err = xsk.bind_patiently(XDP_COPY, [] { return false; });
  if (err == 0) return Ok{};
  const std::string where = name + ": queue " + std::to_string(xsk.queue());
  if (err != EBUSY) return system_error(Code::kSystem, where + " cannot be bound", "bind", err);
  Error error = system_error(Code::kBusy, where + " is taken by another AF_XDP socket", "bind", err);
  error.hint = "Find it with: ss --xdp -p";
  return error;
}

/// Its sockets, on the memory of the first one's.
Result<Ok> add_sockets(InlineNic::Parts& parts, const Umem& umem, int& first) {
  const Device& device = parts.device;
  for (uint32_t number = 0; number < device.queues; number++) {
    auto xsk = Xsk::create(umem,
                           {.ifindex = device.index,
                            .queue = number,
                            .rx_entries = filled_by(device),
                            .fill_entries = filled_by(device),
                            .completion_entries = number == 0 ? kTxEntries : kFewCompletions,
                            .shared_with = first},
                           device.name);
    if (!xsk) return std::move(xsk).error();
    if (auto bound = bind_to(*xsk, device.name); !bound) return bound;
    if (first < 0) first = xsk->fd();
    if (auto set = set_map(parts.xsk_map.get(), number, static_cast<uint32_t>(xsk->fd())); !set) return set;
    if (auto added = parts.waiting.add(xsk->fd()); !added) return added;
    parts.queues.push_back({.xsk = *std::move(xsk)});
  }
  // WHY a socket of its own: who polls one with a TX ring sends what is in there, and the kernel tells nobody then what
  // it has dropped.
  const Xsk& queue = parts.queues.front().xsk;
  auto sender = Xsk::create(
      umem, {.ifindex = device.index, .queue = 0, .tx_entries = kTxEntries, .shared_with = queue.fd()}, device.name);
  if (!sender) return std::move(sender).error();
  if (auto bound = bind_to(*sender, device.name); !bound) return bound;
  parts.sender.emplace(*std::move(sender));
  return Ok{};
}

/// All sockets on one memory. ENOBUFS: it counts against RLIMIT_MEMLOCK.
Result<std::shared_ptr<InlineFrames>> share(std::vector<InlineNic::Parts>& all) {
  MemoryRequest request{.frame_bytes = kSmallFrame};
  for (const InlineNic::Parts& parts : all) {
    request.frames += parts.device.queues * filled_by(parts.device) + kTxEntries + kBatch;
    if (parts.device.mtu + kLinkHeader > kSmallFrame - kXdpHeadroom) request.frame_bytes = kLargeFrame;
  }
  std::vector<std::string> notes;
  auto memory = allocate(request, all.front().device.name, notes);
  if (!memory) return std::move(memory).error();
  auto frames = std::make_shared<InlineFrames>(
      Umem{.region = memory->region, .frames = request.frames, .frame_bytes = request.frame_bytes});
  MemlockLift memlock;
  for (;;) {
    int first = -1;
    Result<Ok> added = Ok{};
    for (InlineNic::Parts& parts : all) {
      parts.queues.clear();
      added = add_sockets(parts, frames->umem(), first);
      if (!added) break;
    }
    if (added) return frames;
    if (added.error().err != ENOBUFS || first >= 0 || !memlock.raise()) return std::move(added).error();
  }
}

}  // namespace

Result<std::vector<std::unique_ptr<forward::Nic>>> open_inline_nics(const std::vector<std::string>& names) {
  std::vector<InlineNic::Parts> all;
  for (const std::string& name : names) {
    auto parts = begin(name);
    if (!parts) return std::move(parts).error();
    all.push_back(*std::move(parts));
  }
  if (all.empty()) return Error{.code = Code::kBadOption, .message = "there is no interface to forward between"};
  auto frames = share(all);
  if (!frames) return std::move(frames).error();
  std::vector<std::unique_ptr<forward::Nic>> nics;
  for (InlineNic::Parts& parts : all) {
    nics.push_back(std::make_unique<InlineNic>(std::move(parts), *frames));
  }
  return nics;
}

}  // namespace ringtap::afxdp
