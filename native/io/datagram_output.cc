#include "io/datagram_output.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "io/address.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace ringtap {
namespace {

constexpr size_t kBurst = 32;          // messages of one call
constexpr size_t kMostPieces = 64;     // of one train, as the kernel has it
constexpr size_t kMostBytes = 65'000;  // likewise

/// A train: pieces of one length, of which only the last may be shorter, one after the other in memory.
struct Train {
  size_t pieces = 0;
  size_t bytes = 0;
};

Train train_of(std::span<const DatagramOutput::Piece> pieces, bool in_trains) noexcept {
  Train train{.pieces = 1, .bytes = pieces[0].bytes};
  if (!in_trains) return train;
  const size_t most = std::min(pieces.size(), kMostPieces);
  while (train.pieces < most) {
    const auto& next = pieces[train.pieces];
    const bool follows = next.data == pieces[0].data + train.bytes && next.bytes <= pieces[0].bytes;
    if (!follows || train.bytes + next.bytes > kMostBytes) break;
    train.pieces++;
    train.bytes += next.bytes;
    if (next.bytes < pieces[0].bytes) break;
  }
  return train;
}

/// One call's messages and what belongs to them.
struct Burst {
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> parts{};
  std::array<size_t, kBurst> pieces{};
  struct alignas(cmsghdr) Control {
    std::array<std::byte, CMSG_SPACE(sizeof(uint16_t))> bytes{};
  };
  std::array<Control, kBurst> controls{};
  unsigned count = 0;
  bool has_train = false;

  void add(const DatagramOutput::Piece& first, const Train& train) noexcept {
    // SAFETY: sendmmsg only reads from it.
    parts[count] = {const_cast<std::byte*>(first.data), train.bytes};
    pieces[count] = train.pieces;
    msghdr& header = messages[count].msg_hdr;
    header.msg_iov = &parts[count];
    header.msg_iovlen = 1;
    if (train.pieces > 1) {
      has_train = true;
      header.msg_control = controls[count].bytes.data();
      header.msg_controllen = sizeof(Control::bytes);
      cmsghdr* control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto length = static_cast<uint16_t>(first.bytes);
      std::memcpy(CMSG_DATA(control), &length, sizeof length);
    }
    count++;
  }
};

bool is_full(int err) noexcept { return err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS || err == ENOMEM; }

}  // namespace

uint16_t DatagramOutput::port() const noexcept {
  Address bound;
  bound.bytes = sizeof bound.storage;
  return getsockname(socket_.get(), bound.get(), &bound.bytes) == 0 ? bound.port() : 0;
}

Result<DatagramOutput> DatagramOutput::connect(const std::string& local, const std::string& peer, uint16_t port,
                                               int64_t buffer_bytes) {
  auto own = address_of(local, 0);
  if (!own) return std::move(own).error();
  auto theirs = address_of(peer, port);
  if (!theirs) return std::move(theirs).error();
  UniqueFd socket(::socket(own->family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error(Code::kSystem, "no socket for the packets", "socket", errno);
  if (bind(socket.get(), own->get(), own->bytes) != 0)
    return system_error(Code::kSystem, "no port at " + local + " for the packets", "bind", errno);
  if (::connect(socket.get(), theirs->get(), theirs->bytes) != 0)
    return system_error(Code::kSystem, "no way to " + peer + " for the packets", "connect", errno);
  const int wanted = static_cast<int>(std::clamp<int64_t>(buffer_bytes, 0, INT32_MAX / 2));
  if (setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) != 0)
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
  return DatagramOutput(std::move(socket));
}

DatagramOutput::Heard DatagramOutput::receive(std::span<std::byte>& into) noexcept {
  const ssize_t n = recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
  if (n >= 0) {
    into = into.first(static_cast<size_t>(n));
    return Heard::kDatagram;
  }
  return errno == ECONNREFUSED ? Heard::kRefused : Heard::kNothing;
}

DatagramOutput::Sent DatagramOutput::send(std::span<const Piece> pieces) noexcept {
  Sent sent;
  bool is_repeated = false;
  while (sent.pieces < pieces.size()) {
    Burst burst;
    for (size_t at = sent.pieces; at < pieces.size() && burst.count < kBurst;) {
      const Train train = train_of(pieces.subspan(at), in_trains_);
      burst.add(pieces[at], train);
      at += train.pieces;
    }
    const int n = sendmmsg(socket_.get(), burst.messages.data(), burst.count, MSG_DONTWAIT);
    if (n > 0) {
      for (int i = 0; i < n; i++) sent.pieces += burst.pieces[static_cast<size_t>(i)];
      is_repeated = false;
      continue;
    }
    const int err = errno;
    if (err == EINTR) continue;
    if (is_full(err)) {
      sent.stopped = Stopped::kFull;
      return sent;
    }
    if (burst.has_train && in_trains_ && (err == EIO || err == EINVAL || err == EMSGSIZE || err == EOPNOTSUPP)) {
      in_trains_ = false;  // this route, or this kernel, has no such thing
      continue;
    }
    // WHY once more: what an earlier datagram met on its way is told to the next one, which is not sent.
    if (!is_repeated) {
      if (err == ECONNREFUSED) sent.refusals++;
      is_repeated = true;
      continue;
    }
    sent.stopped = Stopped::kRefused;
    sent.err = err;
    return sent;
  }
  return sent;
}

}  // namespace ringtap
