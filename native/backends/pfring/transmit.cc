#include "backends/pfring/transmit.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

namespace ringtap::pfring {

Result<SendingLink> link_of(const std::string& interface, const std::string& uri) {
  const UniqueFd query = query_socket();
  if (!query) return system_error(Code::kSystem, uri, "socket", errno);
  auto found = query_interface(query.get(), interface, uri);
  if (!found) return std::move(found).error();
  return SendingLink(*found);
}

uint32_t RingTx::hand_over(std::span<const TxFrame> frames, int& err) noexcept {
  link_.look();
  uint32_t taken = 0;
  for (const TxFrame frame : frames) {
    err = send_(frame);
    if (err != 0) break;
    taken++;
  }
  return taken;
}

SendQueue::Verdict RingTx::judge(int err) noexcept {
  using Kind = Verdict::Kind;
  switch (err) {
    case EAGAIN:
      return {};
    case ENOBUFS:
      if (link_.lost()) return {.kind = Kind::kSkip, .failure = TxFailure::kLinkDown};
      return {.kind = Kind::kRefused};
    case EMSGSIZE:
      return {.kind = Kind::kSkip, .failure = TxFailure::kTooLong};
    default:
      return {.kind = Kind::kFail, .error = link_.failure("sendto", err)};
  }
}

RingTx::Send send_through(int fd) {
  return [fd](std::span<const std::byte> frame) {
    // The module sends where the socket is bound to, but insists on an address.
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    // SAFETY: sendto() takes every address family through sockaddr.
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    return sendto(fd, frame.data(), frame.size(), 0, to, sizeof address) < 0 ? errno : 0;
  };
}

}  // namespace ringtap::pfring
