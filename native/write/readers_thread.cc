// The thread that sends to the readers of a trace, and hears of those who leave.
#ifndef _WIN32

#include <poll.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/tcp.h>
#include <netinet/in.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

#include "core/thread.h"
#include "write/readers.h"
#include "write/sending.h"

namespace ringtap {

namespace {

constexpr size_t kPackBytes = 64 << 10;
constexpr size_t kMostAtOnce = 1 << 20;
constexpr size_t kMostUntold = 1024;

std::string words(int err) { return std::system_category().message(err); }

}  // namespace

uint64_t acknowledged([[maybe_unused]] int fd, uint64_t least) {
#ifdef __linux__
  tcp_info info{};
  socklen_t size = sizeof info;
  constexpr socklen_t kNeeded = offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && size >= kNeeded) return info.tcpi_bytes_acked;
#endif
  return least;
}

// With mutex_ held:

/// Takes it from the list. What it did not get is lost.
void Readers::leave(std::list<Reader>::iterator gone, std::string why) {
  Reader& reader = *gone;
  acknowledge(reader);
  uint64_t begin = 0;
  const uint64_t got =
      reader.acknowledges ? acknowledged(reader.fd.get(), reader.acknowledged_at) - reader.acknowledged_at : reader.out;
  for (size_t i = 0; i < reader.pieces.size(); i++) {
    const Piece& piece = reader.pieces[i];
    size_t whole = 0;
    if (i < reader.next && piece.end_out <= got) {
      whole = piece.bytes;
    } else if (!reader.compressor && i <= reader.next) {
      begin = i < reader.next ? piece.end_out - piece.bytes : reader.out - reader.done;
      whole = got > begin ? std::min<uint64_t>(got - begin, piece.bytes) : 0;
    }
    piece.chunk->delivered = std::min(piece.chunk->delivered, packets_in(*piece.chunk, whole));
  }
  if (auto told = reader.connection->why()) why = told->message;
  readers_.erase(gone);
  if (left_.size() < kMostUntold) left_.push_back(why);
  if (readers_.empty() && !request_.listens && !request_.comes_back && !ended_ && !no_more_) {
    failure_ = Error{.code = Code::kRemoteLost,
                     .message = "the other end has left: " + why,
                     .hint = "Check who reads it; reconnect: true connects again."};
  }
  room_.notify_all();
}

void Readers::tell_left(std::unique_lock<std::mutex>& lock) {
  if (!for_left_ || (left_.empty() && !ended_)) return;
  const Left done = std::exchange(for_left_, {});
  std::optional<std::string> why;
  if (!left_.empty()) {
    why = std::move(left_.front());
    left_.pop_front();
  }
  lock.unlock();
  done(std::move(why));
  lock.lock();
}

// The thread's own:

void Readers::run() {
  block_signals();
  std::vector<pollfd> polls;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    bool moves = false;
    bool waits = false;
    for (auto at = readers_.begin(); at != readers_.end();) {
      const auto reader = at++;
      const auto before = reader->moved;
      if (!serve(reader)) continue;  // it has left
      moves |= reader->moved != before;
      waits |= !reader->pieces.empty();
    }
    if (moves || is_watched_) room_.notify_all();
    tell_left(lock);
    if (stopping_) break;
    polls.assign(1, {.fd = woken_.get(), .events = POLLIN, .revents = 0});
    for (const Reader& reader : readers_) {
      const short events = static_cast<short>((reader.listens ? POLLIN : 0) | (reader.is_sending() ? POLLOUT : 0));
      polls.push_back({.fd = reader.fd.get(), .events = events, .revents = 0});
    }
    constexpr int kSoonMs = 2;
    constexpr int kLaterMs = 100;
    lock.unlock();
    poll(polls.data(), static_cast<nfds_t>(polls.size()), !waits ? -1 : is_watched_ ? kSoonMs : kLaterMs);
    char bytes[64];
    while (recv(woken_.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    lock.lock();
  }
}

/// Takes what it says, which nobody reads, and sends what it takes. False: it has left.
bool Readers::serve(std::list<Reader>::iterator at) {
  Reader& reader = *at;
  std::byte said[4096];
  for (int i = 0; reader.listens && i < 16; i++) {
    const ssize_t n = recv(reader.fd.get(), said, sizeof said, MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n == 0) {
      reader.listens = false;
      // WHY not of others who connect: they may read on. Of whom we connect to nothing but this tells that it has gone,
      // and of what is passed on (TLS) it is told why.
      if (!request_.listens || reader.connection->why()) {
        leave(at, "it has closed the connection");
        return false;
      }
    }
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
      leave(at, words(errno));
      return false;
    }
    break;
  }
  if (const int err = send_some(reader); err != 0) {
    leave(at, words(err));
    return false;
  }
  // WHY asked for only where nothing is sent: what is sent says it.
  pollfd state{.fd = reader.fd.get(), .events = 0, .revents = 0};
  if (poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    int err = 0;
    socklen_t size = sizeof err;
    getsockopt(reader.fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
    leave(at, err != 0 ? words(err) : "it has closed the connection");
    return false;
  }
  acknowledge(reader);
  return true;
}

/// 0, or the errno that ends the connection.
int Readers::send_some(Reader& reader) {
  for (size_t sent = 0; reader.is_sending() && sent < kMostAtOnce;) {
    Piece& piece = reader.pieces[reader.next];
    std::span<const std::byte> bytes(piece.chunk->bytes.data() + reader.done, piece.bytes - reader.done);
    if (reader.compressor) {
      if (reader.packed_done == reader.packed.bytes().size() && !pack(reader, piece)) return ENOMEM;
      bytes = reader.packed.bytes().subspan(reader.packed_done);
    }
    ssize_t n = 0;
    if (!bytes.empty()) n = ::send(reader.fd.get(), bytes.data(), bytes.size(), kSendFlags);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (n < 0) return errno;
    sent += static_cast<size_t>(n);
    reader.out += static_cast<uint64_t>(n);
    reader.moved = Clock::now();
    if (reader.compressor) {
      reader.packed_done += static_cast<size_t>(n);
      if (reader.packed_done == reader.packed.bytes().size() && reader.done == piece.bytes) piece_sent(reader);
    } else {
      reader.done += static_cast<size_t>(n);
      reader.queued -= static_cast<uint64_t>(n);
      if (reader.done == piece.bytes) piece_sent(reader);
    }
  }
  if (reader.is_sending()) wake();
  return 0;
}

bool Readers::pack(Reader& reader, Piece& piece) {
  reader.packed.clear();
  reader.packed_done = 0;
  const size_t bytes = std::min(kPackBytes, piece.bytes - reader.done);
  const std::span<const std::byte> plain(piece.chunk->bytes.data() + reader.done, bytes);
  if (!reader.compressor->run(plain, After::kShown, reader.packed)) return false;
  reader.done += bytes;
  return true;
}

/// What a compressed trace has at its end.
void Readers::complete(Reader& reader) {
  if (!reader.compressor || reader.is_sending()) return;
  reader.packed.clear();
  reader.packed_done = 0;
  if (reader.compressor->run({}, After::kEnd, reader.packed)) reader.pieces.push_back({.chunk = chunk_of({}, false)});
  wake();
}

void Readers::piece_sent(Reader& reader) {
  Piece& piece = reader.pieces[reader.next];
  piece.end_out = reader.out;
  if (reader.compressor) reader.queued -= piece.bytes;
  reader.next++;
  reader.done = 0;
}

/// Lets go of what the other end has.
void Readers::acknowledge(Reader& reader) {
  if (reader.next == 0) return;
  const uint64_t got =
      reader.acknowledges ? acknowledged(reader.fd.get(), reader.acknowledged_at) - reader.acknowledged_at : reader.out;
  for (; reader.next > 0 && reader.pieces.front().end_out <= got; reader.next--) {
    const Piece& piece = reader.pieces.front();
    piece.chunk->delivered = std::min(piece.chunk->delivered, packets_in(*piece.chunk, piece.bytes));
    reader.pieces.pop_front();
  }
}

}  // namespace ringtap

#endif
