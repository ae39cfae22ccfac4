#include "backends/rpcap/source.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "backends/rpcap/connect.h"
#include "filter/opcodes.h"

namespace ringtap::rpcap {
namespace {

// A receive() that finds nothing but rejected packets comes back after so many bytes: the event loop waits.
constexpr uint64_t kMostBytesPerReceive = 4u << 20;
// A daemon says on its control connection why it ends, which may be heard of after the data's end.
constexpr itimerspec kReasonWait{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 300'000'000}};
// A reason may be heard of before the last of the data. Nothing of it for so long: there is no more.
constexpr itimerspec kRestWait{.it_interval = {}, .it_value = {.tv_sec = 1, .tv_nsec = 0}};
/// For so long a datagram may be on its way: then it is lost. At the end nobody waits for that.
constexpr std::chrono::milliseconds kUnderWay{1000};
constexpr std::chrono::milliseconds kParting{100};
constexpr int64_t kSecond = 1'000'000'000;

/// Of a counter that begins at 0 and wraps around. WHY not every step back: that of an interface may be set right by a
/// little, which is no round. Counted on is from where it had been, so that nothing is counted twice.
uint64_t since(uint32_t& last, uint32_t now) noexcept {
  const uint32_t step = now - last;
  if (step > INT32_MAX) return 0;
  last = now;
  return step;
}

/// A daemon wants a program in any case.
Program all_packets() { return {{.code = bpf::kRet | bpf::kK, .k = kMaxSnaplen}}; }

}  // namespace

RpcapSource::RpcapSource(SourceInfo info, Arena arena, Setup setup)
    : info_(std::move(info)), arena_(std::move(arena)), setup_(std::move(setup)), program_(all_packets()) {}

Result<Ok> RpcapSource::prepare() {
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  woken_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_ || !woken_ || !timer_)
    return system_error(Code::kSystem, "no descriptor to wait for packets with", "epoll_create1", errno);
  for (const int fd : {woken_.get(), timer_.get()}) {
    if (auto watched = watch(fd); !watched) return watched;
  }
  if (!setup_.datagrams && !setup_.awaits) return Ok{};
  if (!setup_.datagrams) {
    auto peer = address_of(setup_.peer, 0);
    if (!peer) return std::move(peer).error();
    auto listener = Listener::at(setup_.local);
    if (!listener) return std::move(listener).error();
    peer_ = *peer;
    listener_ = *std::move(listener);
    port_ = listener_->port;
    return watch(listener_->fd.get());
  }
  auto listening = datagram_data(setup_.local, setup_.peer, setup_.buffer_bytes, kMaxSnaplen, setup_.trains);
  if (!listening) return std::move(listening).error();
  port_ = listening->port;
  if (listening->note) info_.notes.push_back(*listening->note);
  data_ = std::move(listening->data);
  return watch(data_->fd());
}

Result<Ok> RpcapSource::watch(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return Ok{};
  return system_error(Code::kSystem, "packets cannot be waited for", "epoll_ctl", errno);
}

Result<FilterPlacement> RpcapSource::set_filter(std::shared_ptr<Filter> filter) {
  const FilterTarget target(static_cast<int>(info_.link_type), FilterTarget::Place::kFile, setup_.big_endian);
  auto program = filter->program(target);
  if (!program) return std::move(program).error();
  program_ = **program;
  filter_.place_here(program_, "");
  return FilterPlacement{.where = FilterPlace::kRemote,
                         .reason = "the daemon filters, and what arrives whole is looked at again here"};
}

Remote::Compiling RpcapSource::compiling(std::shared_ptr<Filter> filter) const {
  const FilterTarget target(static_cast<int>(info_.link_type), FilterTarget::Place::kFile, setup_.big_endian);
  return [target, filter = std::move(filter)]() -> Result<Program> {
    if (filter == nullptr) return all_packets();
    auto program = filter->program(target);
    if (!program) return std::move(program).error();
    return **program;
  };
}

void RpcapSource::adopt(Program program) {
  program_ = std::move(program);
  filter_.place_here(program_, "");
  looks_ = true;
}

Result<Ok> RpcapSource::agree(const RemoteAgreement& agreed) {
  if (data_ == nullptr || !agreed.recovery) return Ok{};
  const auto bytes = static_cast<uint64_t>(setup_.buffer_bytes) / 4;
  if (auto made = data_->recover(agreed, bytes, setup_.recovery_patience); !made) return made;
  return data_->timer() < 0 ? Ok{} : watch(data_->timer());
}

Remote::Connecting RpcapSource::connecting(uint16_t port) const {
  return [peer = setup_.peer, port, patience = setup_.patience, given_up = given_up_] {
    return connect_to(peer, port, patience, *given_up);
  };
}

Result<Ok> RpcapSource::attach(std::shared_ptr<Connection> connection) {
  // SAFETY: connecting() makes no other.
  data_ = stream_data(std::move(static_cast<TcpConnection&>(*connection).fd), kMaxSnaplen, info_.snaplen);
  return watch(data_->fd());
}

Result<UniqueFd> RpcapSource::pipe() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return system_error(Code::kSystem, "no connection for the packets", "socketpair", errno);
  UniqueFd theirs(ends[1]);
  data_ = stream_data(UniqueFd(ends[0]), kMaxSnaplen, info_.snaplen);
  if (auto watched = watch(data_->fd()); !watched) return std::move(watched).error();
  return theirs;
}

std::optional<uint64_t> RpcapSource::arrived() const noexcept {
  if (data_ == nullptr) return 0;
  if (is_waiting()) return std::nullopt;
  return data_->bytes();
}

/// Something has come that was not received yet.
bool RpcapSource::is_waiting() const noexcept {
  if (head_ || data_->is_waiting()) return true;
  pollfd look{.fd = data_->fd(), .events = POLLIN, .revents = 0};
  return poll(&look, 1, 0) > 0;
}

/// Of what the daemon has told last that it had sent.
bool RpcapSource::is_lacking() const noexcept {
  return told_last_ && static_cast<int32_t>(told_last_->sent - numbers_.last()) > 0;
}

void RpcapSource::counted(const RemoteCounters& counters) noexcept {
  if (counters.sent && setup_.datagrams && data_ != nullptr && !closed_) {
    const Told now{.sent = *counters.sent, .at = std::chrono::steady_clock::now()};
    // WHY not at once: what it had sent by then may be on its way, or wait to be received.
    if (told_ && now.at - told_->at >= kUnderWay && !is_waiting()) {
      numbers_.told(told_->sent);
      told_.reset();
    }
    if (!told_) told_ = now;
    told_last_ = now;
  }
  // WHY: of a capture that has ended, daemons count nothing at all.
  if (counters.interface_dropped == 0 && counters.kernel_dropped == 0) return;
  interface_dropped_ += since(last_counters_.interface_dropped, counters.interface_dropped);
  kernel_dropped_ += since(last_counters_.kernel_dropped, counters.kernel_dropped);
}

bool RpcapSource::settle() noexcept {
  if (closed_ || data_ == nullptr || !setup_.datagrams || !told_last_) return true;
  const auto pending = head_;
  for (uint64_t most = data_->bytes() + kMostBytesPerReceive; data_->bytes() < most && pull();) {
  }
  head_ = pending;
  if (!is_lacking()) return true;
  if (std::chrono::steady_clock::now() - told_last_->at < kParting) return false;
  if (got_ == Data::Got::kPacket || data_->give_up()) return false;
  numbers_.told(told_last_->sent);
  return true;
}

void RpcapSource::end(Error why) noexcept {
  if (!ended_) ended_ = std::move(why);
  eventfd_write(woken_.get(), 1);
}

void RpcapSource::finish() noexcept {
  finished_ = !ended_;
  end({.code = Code::kRemoteLost, .message = "the capture is at its end"});
}

RxBatch RpcapSource::receive(DescBlock& block, uint32_t max) noexcept {
  if (closed_) return {.rx = Rx::kEof};
  if (arena_.exhausted()) return {.rx = Rx::kNoBuffer};
  const uint32_t most = std::min(max, block.capacity());
  const uint64_t enough = (data_ != nullptr ? data_->bytes() : 0) + kMostBytesPerReceive;
  const uint32_t begin = arena_.next_offset();
  const uint32_t end = begin + arena_.chunk_bytes();
  uint32_t offset = begin;
  uint32_t n = 0;
  hurrying_ = false;
  filter_.renew();
  while (n < most) {
    if (filter_.used_up() || (data_ != nullptr && data_->bytes() > enough)) {
      hurrying_ = true;
      break;
    }
    if (!head_ && !pull()) break;
    if (end - offset < std::min(head_->caplen, info_.snaplen)) break;
    if (take(block, n, offset, end - offset)) n++;
    head_.reset();
  }
  if (n == 0) return {.rx = hurrying_ ? Rx::kAgain : outcome()};
  delivered_ += n;
  return {.rx = Rx::kOk, .count = n, .segment = 0, .link_type = info_.link_type, .lease = arena_.lend()};
}

/// Whether the daemon has connected by now.
bool RpcapSource::accept() noexcept {
  if (!listener_) return false;
  UniqueFd connection = listener_->accept_from(peer_);
  if (!connection) return false;
  listener_.reset();
  data_ = stream_data(std::move(connection), kMaxSnaplen, info_.snaplen);
  if (auto watched = watch(data_->fd()); !watched) end(std::move(watched).error());
  return true;
}

/// The next packet becomes head_.
bool RpcapSource::pull() noexcept {
  if (data_ == nullptr && !accept()) return false;
  if (got_ == Data::Got::kEnd || got_ == Data::Got::kFailed) return false;
  Packet packet;
  do {
    got_ = data_->next(packet);
    if (got_ != Data::Got::kPacket) return false;
  } while (!numbers_.take(packet.number));
  head_ = packet;
  return true;
}

/// Copies head_ and describes it as packet `i`. False where the filter rejects it.
bool RpcapSource::take(DescBlock& block, uint32_t i, uint32_t& offset, uint32_t room) noexcept {
  const Packet& packet = *head_;
  uint32_t keep = std::min(packet.caplen, info_.snaplen);
  // What was cut over there has passed the filter whole; here it might lack what the filter looks at.
  const bool whole = packet.caplen >= packet.wirelen;
  if (whole && looks_ && filter_.judged() != Judged::kNone) {
    const uint32_t accepted = filter_.run(packet.data, packet.wirelen, packet.caplen);
    if (accepted == 0) return false;
    keep = std::min(keep, accepted);
  }
  keep = std::min(keep, room);
  std::memcpy(arena_.region()->base() + offset, packet.data, keep);
  const int64_t time_ns = int64_t{packet.seconds} * kSecond + int64_t{packet.micros} * 1000 - info_.epoch_ns;
  block.set_basic(i, offset, keep, packet.wirelen, time_ns, 0);
  offset += keep;
  delivered_bytes_ += packet.wirelen;
  return true;
}

/// What receive() says where no packet is left.
Rx RpcapSource::outcome() noexcept {
  if (got_ == Data::Got::kFailed && (!ended_ || finished_)) {
    ended_ = data_->error();
    finished_ = false;
  }
  if (ended_) {
    if (rest_may_come()) return Rx::kAgain;
    if (data_ != nullptr && data_->give_up()) return Rx::kAgain;
    if (is_lacking()) numbers_.told(told_last_->sent);
    if (finished_) return Rx::kEof;
    error_ = *ended_;
    return Rx::kError;
  }
  if (got_ != Data::Got::kEnd) return Rx::kAgain;
  if (!is_waiting_for_reason_) {
    is_waiting_for_reason_ = true;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, data_->fd(), nullptr);
    timerfd_settime(timer_.get(), 0, &kReasonWait, nullptr);
    return Rx::kAgain;
  }
  uint64_t expired = 0;
  if (read(timer_.get(), &expired, sizeof expired) < 0) return Rx::kAgain;
  ended_ = Error{.code = Code::kRemoteLost, .message = "the daemon closed the data connection"};
  error_ = *ended_;
  return Rx::kError;
}

/// Whether more may be on its way, though the daemon has said on its control connection why it ends: a stream over TLS
/// passes through the event loop, and a datagram may take another way.
bool RpcapSource::rest_may_come() noexcept {
  if (data_ == nullptr || got_ != Data::Got::kNothing || rest_is_over_) return false;
  if (ended_->code != Code::kRemoteLost || (setup_.datagrams && !is_lacking())) return false;
  if (data_->bytes() != rest_bytes_) {
    // WHY not woken any more: that it was, stays readable.
    if (rest_bytes_ == UINT64_MAX) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, woken_.get(), nullptr);
    rest_bytes_ = data_->bytes();
    timerfd_settime(timer_.get(), 0, &kRestWait, nullptr);
    return true;
  }
  uint64_t expired = 0;
  rest_is_over_ = read(timer_.get(), &expired, sizeof expired) > 0;
  return !rest_is_over_;
}

Readiness RpcapSource::readiness() const noexcept {
  return {.kind = Readiness::Kind::kFd, .fd = epoll_.get(), .owned = true, .again_ms = hurrying_ ? 1u : 0u};
}

Stats RpcapSource::stats() const noexcept {
  Stats stats;
  stats.delivered = delivered_;
  stats.filtered = filter_.filtered();
  stats.delivered_bytes = delivered_bytes_;
  stats.pending = head_ ? 1 : 0;
  const uint64_t lost = numbers_.lost();
  stats.drops = {{"network", lost}, {"remoteKernel", kernel_dropped_}, {"remoteInterface", interface_dropped_}};
  for (const DropCause& cause : stats.drops) stats.dropped += *cause.count;
  stats.received = stats.delivered + stats.filtered + stats.dropped + stats.pending;
  stats.details = data_ != nullptr ? data_->details() : last_details_;
  return stats;
}

void RpcapSource::close() noexcept {
  if (closed_) return;
  closed_ = true;
  given_up_->store(true, std::memory_order_relaxed);
  if (data_ != nullptr) last_details_ = data_->details();
  data_.reset();
  listener_.reset();
  epoll_.reset();
  woken_.reset();
  timer_.reset();
  info_.segments.clear();
}

}  // namespace ringtap::rpcap
