// Starting: the program on the interface, the sockets on its queues. From here on packets arrive.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backends/afxdp/bpf.h"
#include "backends/afxdp/source.h"

namespace ringtap::afxdp {

namespace {

constexpr uint32_t kFewFilled = 64;  // the fill ring of a queue that nothing is received from

}  // namespace

Result<Ok> AfXdp::start() {
  if (!program_) {
    if (auto loaded = load_program(); !loaded) return loaded;
  }
  if (is_given_up()) return given_up();
  if (auto attached = attach(); !attached) return attached;
  if (settings_.promiscuous) {
    if (const int err = promiscuous_.enter(std::span(&device_.index, 1)); err != 0) {
      info_.notes.push_back("no promiscuous mode: " + std::string(std::strerror(err)));
    }
  }
  if (auto sender = open_sender(); !sender) return sender;
  stamp_base_ns_ = time_namespace_offset() - info_.epoch_ns;
  for (int i = 0; i < 8; i++) observe_clock();
  return watch();
}

Result<Ok> AfXdp::start_tx() {
  // WHY a copy: Intel's drivers send from our memory only while an XDP program is attached, which would take traffic
  // away.
  uint16_t flags = settings_.zerocopy == "require" ? XDP_ZEROCOPY : XDP_COPY;
  if (settings_.need_wakeup) flags |= XDP_USE_NEED_WAKEUP;
  const int err = bind_patiently(queues_.front()->xsk, flags);
  if (err == ECANCELED) return given_up();
  if (err != 0) {
    return system_error(
        err == EBUSY ? Code::kBusy : Code::kSystem,
        uri_ + ": queue " + std::to_string(queues_.front()->xsk.queue()) + " of " + device_.name + " cannot be bound",
        "bind", err);
  }
  if (queues_.front()->xsk.tx.size() == 0) return open_sender();
  send_by(queues_.front()->xsk, queues_.front()->xsk.completion);
  return Ok{};
}

/// WHY a socket of its own: who polls one with a TX ring sends what is in there, and the kernel tells nobody then what
/// it has dropped.
Result<Ok> AfXdp::open_sender() {
  const Xsk& first = queues_.front()->xsk;
  XskRequest request{
      .ifindex = device_.index, .queue = first.queue(), .tx_entries = tx_entries_, .shared_with = first.fd()};
  if (settings_.way_out) {
    // Of another interface it has rings of its own.
    request.ifindex = settings_.way_out->index;
    request.queue = 0;
    request.fill_entries = kFewFilled;
    request.completion_entries = tx_entries_;
  }
  auto xsk = Xsk::create(umem_, request, uri_);
  if (!xsk) return std::move(xsk).error();
  const int err = settings_.way_out ? bind_patiently(*xsk, 0) : xsk->bind(0);
  if (err == ECANCELED) return given_up();
  if (err != 0) {
    const Code code = err == EBUSY ? Code::kBusy : settings_.way_out ? Code::kUnsupported : Code::kSystem;
    return system_error(code, uri_ + ": a socket to send by on " + way_out().name + " cannot be bound", "bind", err);
  }
  sender_.emplace(*std::move(xsk));
  sent_frames_.emplace(settings_.frames);
  passed_on_ = PassedOn(settings_.frames);
  send_by(*sender_, settings_.way_out ? sender_->completion : first.completion);
  return Ok{};
}

void AfXdp::send_by(const Xsk& xsk, const Ring<uint64_t>& completion) {
  tx_.emplace(xsk, completion, umem_, settings_.frames, SendingLink(way_out()),
              sent_frames_ ? &*sent_frames_ : nullptr);
}

// Native first, generic next; what was obtained stands in the plan.
Result<Ok> AfXdp::attach() {
  std::optional<Error> refused;
  if (settings_.mode != "generic") {
    auto link = attach_xdp(program_->fd.get(), device_.index, device_.name, AttachMode::kNative);
    if (link) {
      link_ = *std::move(link);
      if (auto bound = bind_sockets(true); !bound) return bound;
      const bool zero_copy =
          std::all_of(queues_.begin(), queues_.end(), [](const auto& queue) { return queue->xsk.zero_copy(); });
      info_.mode = zero_copy ? "native, zero-copy" : "native, copy";
      return Ok{};
    }
    refused = std::move(link).error();
    refused->message = uri_ + ": " + refused->message;
    if (settings_.mode == "native" || settings_.zerocopy == "require" || refused->code != Code::kUnsupported)
      return *std::move(refused);
    info_.notes.push_back("no native XDP: " + refused->message);
  }
  if (program_->stamps && program_->stamps->clock() == StampClock::kHardware) {
    settings_.mode = "generic";  // which refuses a program that asks the driver
    if (auto loaded = load_program(); !loaded) return loaded;
  }
  auto link = attach_xdp(program_->fd.get(), device_.index, device_.name, AttachMode::kGeneric);
  if (!link) {
    Error error = std::move(link).error();
    error.message = uri_ + ": " + error.message;
    return error;
  }
  link_ = *std::move(link);
  if (auto bound = bind_sockets(false); !bound) return bound;
  info_.mode = "generic, copy";
  return Ok{};
}

int AfXdp::bind_patiently(const Xsk& xsk, uint16_t flags) const {
  return xsk.bind_patiently(flags, [this] { return is_given_up(); });
}

bool AfXdp::is_given_up() const noexcept {
  return settings_.cancelled != nullptr && settings_.cancelled->load(std::memory_order_relaxed);
}

Error AfXdp::given_up() const { return {.code = Code::kClosed, .message = uri_ + ": opening was given up"}; }

Result<Ok> AfXdp::bind_sockets(bool native) {
  uint16_t flags = settings_.need_wakeup ? XDP_USE_NEED_WAKEUP : 0;
  if (!native || settings_.zerocopy == "off") flags |= XDP_COPY;
  if (settings_.zerocopy == "require") flags |= XDP_ZEROCOPY;
  if (multi_buffer_) flags |= XDP_USE_SG;
  for (uint32_t i = 0; i < queues_.size(); i++) {
    Queue& queue = *queues_[i];
    const std::string where = uri_ + ": queue " + std::to_string(queue.xsk.queue()) + " of " + device_.name;
    switch (const int err = bind_patiently(queue.xsk, flags)) {
      case 0:
        break;
      case ECANCELED:
        return given_up();
      case EBUSY:
        return Error{.code = Code::kBusy,
                     .message = where + " is taken by another AF_XDP socket",
                     .hint = "Find it with: ss --xdp -p",
                     .syscall = "bind",
                     .err = err};
      case EOPNOTSUPP:
      case 524:  // ENOTSUPP, which the kernel leaks here
        return Error{.code = Code::kUnsupported,
                     .message = where + ": the driver has no zero copy",
                     .hint = "Use zerocopy=auto.",
                     .syscall = "bind",
                     .err = err};
      case EINVAL:
        if (multi_buffer_) {
          return Error{.code = Code::kUnsupported,
                       .message = where + ": an MTU of " + std::to_string(device_.mtu) +
                                  " needs packets in several fragments, which this kernel or driver does not have",
                       .hint = "Lower the MTU to 1500, or use afpacket:.",
                       .syscall = "bind",
                       .err = err};
        }
        [[fallthrough]];
      default:
        return system_error(err == ENODEV ? Code::kNoInterface : Code::kSystem, where + " cannot be bound", "bind",
                            err);
    }
    if (settings_.busy_poll_us != 0) {
      const int prefer = 1;
      const int micros = static_cast<int>(settings_.busy_poll_us);
      const int budget = 64;
      if (setsockopt(queue.xsk.fd(), SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof prefer) != 0 ||
          setsockopt(queue.xsk.fd(), SOL_SOCKET, SO_BUSY_POLL, &micros, sizeof micros) != 0 ||
          setsockopt(queue.xsk.fd(), SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget) != 0) {
        info_.notes.push_back("no busy polling: " + std::string(std::strerror(errno)));
      }
    }
    for (uint32_t frame = i * share(); frame < (i + 1) * share(); frame++) {
      queue.xsk.fill[queue.filled++] = uint64_t{frame} * settings_.frame_bytes;
    }
    queue.xsk.fill.publish(queue.filled);
    if (queue.xsk.fill.needs_wakeup()) queue.xsk.kick_rx();
    if (auto set = set_map(map_.get(), queue.xsk.queue(), static_cast<uint32_t>(queue.xsk.fd())); !set) return set;
  }
  return Ok{};
}

}  // namespace ringtap::afxdp
