#include "backends/afpacket/transmit.h"

#include <linux/if_packet.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "linux/packet_socket.h"

namespace ringtap::afpacket {

namespace {

constexpr size_t kMessages = 64;  // of a call

}  // namespace

int PacketTx::open() noexcept {
  if (fd_) return 0;
  UniqueFd fd = open_packet_socket(SOCK_RAW);
  if (!fd) return errno;
  // Protocol 0: it receives nothing.
  if (const int err = bind_packet_socket(fd.get(), interface_, 0); err != 0) return err;
  // Without it frames go the long way, which is no failure.
  if (bypass_) set_packet_option(fd.get(), PACKET_QDISC_BYPASS, int{1});
  fd_ = std::move(fd);
  return 0;
}

uint32_t PacketTx::hand_over(std::span<const TxFrame> frames, int& err) noexcept {
  if (err = open(); err != 0) return 0;
  link_.look();
  std::array<iovec, kMessages> parts;
  std::array<mmsghdr, kMessages> messages{};
  const size_t count = std::min(frames.size(), kMessages);
  for (size_t i = 0; i < count; i++) {
    // SAFETY: the kernel reads what is sent, and writes nothing.
    parts[i] = {.iov_base = const_cast<std::byte*>(frames[i].data()), .iov_len = frames[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  uint32_t taken = 0;
  // WHY again: a call that sends some of them does not say why it sent no more; the next one does.
  while (taken < count) {
    const int sent = sendmmsg(fd_.get(), messages.data() + taken, static_cast<unsigned>(count - taken), MSG_DONTWAIT);
    if (sent < 0) {
      err = errno;
      return taken;
    }
    taken += static_cast<uint32_t>(sent);
  }
  err = 0;
  return taken;
}

SendQueue::Verdict PacketTx::judge(int err) noexcept {
  using Kind = Verdict::Kind;
  switch (err) {
    case EAGAIN:
    case EINTR:
    case ENOMEM:
      return {};
    case ENOBUFS:
      // Of a NIC whose queue is full it says the same as of one whose other end does not take the frame, such as a veth
      // whose peer has a smaller MTU.
      if (link_.lost()) return {.kind = Kind::kSkip, .failure = TxFailure::kLinkDown};
      return {.kind = Kind::kRefused};
    case EMSGSIZE:
      return {.kind = Kind::kSkip, .failure = TxFailure::kTooLong};
    case EINVAL:
      return {.kind = Kind::kSkip, .failure = TxFailure::kMalformed};
    default:
      return {.kind = Kind::kFail, .error = link_.failure("sendmmsg", err)};
  }
}

std::unique_ptr<PacketTx> sender_on(const Target& target, bool bypass) {
  if (target.cooked || target.index == 0) return nullptr;
  return std::make_unique<PacketTx>(SendingLink(target), target.index, bypass);
}

}  // namespace ringtap::afpacket
