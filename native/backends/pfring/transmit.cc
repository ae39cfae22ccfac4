#include "backends/pfring/transmit.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>

#include "linux/interface.h"

namespace ringtap::pfring {

SendQueue::SendQueue(const std::string& interface, Send send)
    : send_(std::move(send)), query_(query_socket()), interface_(interface_index(query_.get(), interface)) {}

std::span<std::byte> SendQueue::reserve() noexcept {
  if (submitted_ - done_ == kFrames) return {};
  if (!memory_) memory_.reset(new (std::nothrow) std::byte[size_t{kFrames} * kFrameBytes]);
  starved_ = !memory_;  // which flush() says
  return starved_ ? std::span<std::byte>() : frame(submitted_);
}

void SendQueue::submit(uint32_t bytes) noexcept {
  if (submitted_ - done_ == kFrames || bytes > kFrameBytes) return;
  bytes_[submitted_++ % kFrames] = bytes;
  queued_.fetch_add(1, std::memory_order_relaxed);
}

Result<Ok> SendQueue::flush() noexcept {
  if (starved_) return Error{.code = Code::kNoMemory, .message = "no memory for frames to send"};
  while (done_ != submitted_) {
    const int err = send_(frame(done_).first(bytes_[done_ % kFrames]));
    if (err == ENOBUFS || err == EAGAIN) break;
    done_++;
    queued_.fetch_sub(1, std::memory_order_relaxed);
    (err == 0 ? sent_ : failed_).fetch_add(1, std::memory_order_relaxed);
    if (err == 0 || err == EMSGSIZE) continue;
    if (is_gone(query_.get(), interface_))
      return system_error(Code::kInterfaceGone, "the interface was removed", "sendto", err);
    return system_error(err == ENETDOWN ? Code::kInterfaceDown : Code::kSystem, "the interface cannot send", "sendto",
                        err);
  }
  return Ok{};
}

TxStats SendQueue::stats() const noexcept {
  return {.sent = sent_.load(std::memory_order_relaxed),
          .queued = queued_.load(std::memory_order_relaxed),
          .failed = failed_.load(std::memory_order_relaxed)};
}

SendQueue::Send send_through(int fd) {
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
