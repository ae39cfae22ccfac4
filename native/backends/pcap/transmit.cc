#include "backends/pcap/transmit.h"

#include <cerrno>
#include <new>

#include "core/link_type.h"
#include "core/sending_source.h"
#include "core/snaplen.h"
#include "libpcap/link_type.h"
#if defined(__linux__)
#include <fcntl.h>
#endif

namespace ringtap::pcap {

namespace {

/// What a handle that only sends is opened with: it receives nothing, and needs no room for it.
OpenRequest to_send(const OpenRequest& request) {
  OpenRequest sending{
      .uri = request.uri, .target = request.target, .options = {}, .purpose = Purpose::kTransmit, .cancelled = {}};
  sending.options.set("promiscuous", false);
  sending.options.set("bufferBytes", 65536.0);
  return sending;
}

}  // namespace

PcapTx::PcapTx(const LibPcap& library, const OpenRequest& request, uint32_t link_type)
    : library_(library),
      request_(to_send(request)),
      limits_{.header = link_type == kLinkEthernet ? 14u : 0u, .mtu = kMaxSnaplen} {
#if defined(__linux__)
  const UniqueFd query = query_socket();
  if (auto interface = query_interface(query.get(), request_.target, request_.uri)) link_.emplace(*interface);
#endif
}

bool PcapTx::can_send(const LibPcap& library, uint32_t link_type, const std::string& target) {
  const bool cooked = link_type == kLinkLinuxSll || link_type == kLinkLinuxSll2;
  if (library.inject == nullptr || cooked || target == "any") return false;
#if defined(__linux__)
  // What is no interface (nflog, usbmon) takes no frames.
  const UniqueFd query = query_socket();
  return interface_index(query.get(), target) != 0;
#else
  return true;
#endif
}

void PcapTx::adopt(PcapHandle handle) {
  handle_ = std::move(handle);
#if defined(__linux__)
  // WHY: libpcap's own non-blocking mode is about receiving, and the socket is this handle's alone.
  const int fd = library_.get_selectable_fd != nullptr ? library_.get_selectable_fd(handle_.get()) : -1;
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
#endif
}

Result<Ok> PcapTx::open() {
  if (handle_) return Ok{};
  auto session = open_session(library_, request_);
  if (!session) return std::move(session).error();
  adopt(std::move(session->handle));
  return Ok{};
}

TxLimits PcapTx::limits() const noexcept {
#if defined(__linux__)
  if (link_) return link_->limits();
#endif
  return limits_;
}

uint32_t PcapTx::hand_over(std::span<const TxFrame> frames, int& err) noexcept {
  refused_.reset();
  try {
    if (auto opened = open(); !opened) refused_ = std::move(opened).error();
  } catch (const std::bad_alloc&) {
    refused_ = Error{.code = Code::kNoMemory, .message = "no memory for a handle to send by"};
  }
  err = EIO;
  if (refused_) return 0;
#if defined(__linux__)
  if (link_) link_->look();
#endif
  uint32_t taken = 0;
  for (const TxFrame frame : frames) {
    err = inject(frame);
    // A socket that listens keeps this error from when its interface went down, though it may be up by now.
    if (err == ENETDOWN) err = inject(frame);
    if (err != 0) return taken;
    taken++;
  }
  err = 0;
  return taken;
}

int PcapTx::inject(TxFrame frame) noexcept {
  errno = 0;
  if (library_.inject(handle_.get(), frame.data(), frame.size()) >= 0) return 0;
  return errno != 0 ? errno : EIO;
}

SendQueue::Verdict PcapTx::judge(int err) noexcept {
  using Kind = Verdict::Kind;
  if (refused_) return {.kind = Kind::kFail, .error = *refused_};
  switch (err) {
    case EAGAIN:
    case EINTR:
    case ENOMEM:
      return {};
    case ENOBUFS:
#if defined(__linux__)
      if (link_ && link_->lost()) return {.kind = Kind::kSkip, .failure = TxFailure::kLinkDown};
#endif
      return {.kind = Kind::kRefused};
    case EMSGSIZE:
      return {.kind = Kind::kSkip, .failure = TxFailure::kTooLong};
    case EINVAL:
      return {.kind = Kind::kSkip, .failure = TxFailure::kMalformed};
    default:
#if defined(__linux__)
      if (link_) return {.kind = Kind::kFail, .error = link_->failure("pcap_inject", err)};
#endif
      return {.kind = Kind::kFail, .error = system_error(Code::kSystem, "sending failed", "pcap_inject", err)};
  }
}

std::optional<uint32_t> PcapTx::given_up([[maybe_unused]] uint32_t frames) noexcept {
#if defined(__linux__)
  if (link_ && link_->is_down()) return link_->give_up(frames);
#endif
  return std::nullopt;
}

Result<std::unique_ptr<Source>> open_sender(const LibPcap& library, const OpenRequest& request) {
  auto session = open_session(library, to_send(request));
  if (!session) return std::move(session).error();
  SourceInfo info;
  info.link_type = session->cooked ? kLinkLinuxSll2
                                   : static_cast<uint32_t>(dlt_to_linktype(library.datalink(session->handle.get())));
  info.mode = "copy";
  info.timestamp_source = "kernel";
  std::unique_ptr<PcapTx> tx;
  if (PcapTx::can_send(library, info.link_type, request.target)) {
    tx = std::make_unique<PcapTx>(library, request, info.link_type);
    tx->adopt(std::move(session->handle));
  }
  return std::unique_ptr<Source>(std::make_unique<SendingSource>(std::move(info), std::move(tx)));
}

}  // namespace ringtap::pcap
