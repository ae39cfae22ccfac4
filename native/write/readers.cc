#ifndef _WIN32

#include "write/readers.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/tcp.h>
#include <netinet/in.h>
#endif

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

#include "core/thread.h"
#include "format/pcapng_blocks.h"

namespace ringtap {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
constexpr int kSendFlags = MSG_DONTWAIT;
#endif
constexpr std::chrono::milliseconds kLook{20};
// At the end, who takes nothing for so long is left behind.
constexpr std::chrono::seconds kPatience{10};
constexpr size_t kPackBytes = 64 << 10;
constexpr size_t kMostAtOnce = 1 << 20;
constexpr size_t kMostUntold = 1024;

/// Bytes that the other end's system has, of a connection that tells; `least` where it does not.
uint64_t acknowledged([[maybe_unused]] int fd, uint64_t least) {
#ifdef __linux__
  tcp_info info{};
  socklen_t size = sizeof info;
  constexpr socklen_t kNeeded = offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && size >= kNeeded) return info.tcpi_bytes_acked;
#endif
  return least;
}

std::string words(int err) { return std::system_category().message(err); }

}  // namespace

/// A TraceWriter's end of it.
class ReadersOutput final : public Output {
 public:
  explicit ReadersOutput(std::shared_ptr<Readers> readers) : readers_(std::move(readers)) {}
  ReadersOutput(const ReadersOutput&) = delete;
  ReadersOutput& operator=(const ReadersOutput&) = delete;
  ~ReadersOutput() override { readers_->stop(); }

  size_t bytes_at_once(const std::atomic<bool>&) noexcept override { return 0; }
  size_t write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept override {
    return readers_->put(bytes, give_up);
  }
  bool take_back(size_t bytes) noexcept override { return bytes == 0; }
  // Where all wait for the slowest, a writer that is flushed waits, too.
  bool keeps_back() const noexcept override { return !readers_->request_.drops; }
  bool flush(const std::atomic<bool>& give_up) noexcept override { return readers_->drain(give_up); }
  bool finish(const std::atomic<bool>& give_up) noexcept override {
    readers_->end(give_up);
    return true;
  }
  std::optional<Error> failure() const override { return readers_->failure(); }
  int close() noexcept override {
    readers_->stop();
    return 0;
  }

 private:
  const std::shared_ptr<Readers> readers_;
};

Readers::Chunk::~Chunk() {
  delivery->lost += packets - delivered;
  delivery->waiting -= packets;
}

std::shared_ptr<Readers> Readers::create(ReadersRequest request) {
  return std::shared_ptr<Readers>(new Readers(std::move(request)));
}

Readers::~Readers() { stop(); }

Destination Readers::destination() {
  return {.name = request_.name, .open = [self = shared_from_this()] { return self->open(); }, .delivery = delivery_};
}

Result<std::unique_ptr<Output>> Readers::open() {
  const std::scoped_lock lock(mutex_);
  if (!request_.drops && readers_.empty()) return std::unique_ptr<Output>();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    return system_error(Code::kSystem, request_.name + ": no descriptors to wake its thread by", "socketpair", errno);
  }
  wakes_ = UniqueFd(ends[0]);
  woken_ = UniqueFd(ends[1]);
  for (const int fd : ends) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  auto thread = start_thread([this] { run(); });
  if (!thread) return std::move(thread).error();
  thread_ = *std::move(thread);
  return std::unique_ptr<Output>(std::make_unique<ReadersOutput>(shared_from_this()));
}

bool Readers::add(const std::shared_ptr<Connection>& connection) {
  UniqueFd fd = connection->take();
  if (!fd) return false;
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  std::unique_ptr<Compressor> compressor;
  if (request_.compression) {
    auto made = make_compressor(*request_.compression);
    if (!made) return false;
    compressor = *std::move(made);
  }
  const std::scoped_lock lock(mutex_);
  if (ended_ || no_more_ || failure_) return false;
  readers_.push_back({});
  Reader& reader = readers_.back();
  constexpr uint64_t kUntold = UINT64_MAX;
  reader.acknowledged_at = acknowledged(fd.get(), kUntold);
  reader.acknowledges = reader.acknowledged_at != kUntold;
  reader.fd = std::move(fd);
  reader.connection = connection;
  reader.compressor = std::move(compressor);
  reader.moved = Clock::now();
  if (!prelude_.empty()) give(reader, chunk_of(prelude_, true));
  wake();
  room_.notify_all();
  return true;
}

void Readers::no_more() {
  const std::scoped_lock lock(mutex_);
  no_more_ = true;
  room_.notify_all();
}

uint32_t Readers::count() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<uint32_t>(readers_.size());
}

void Readers::when_left(Left done) {
  std::unique_lock lock(mutex_);
  for_left_ = std::move(done);
  tell_left(lock);
}

std::optional<Error> Readers::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

// On the writer's thread:

/// All of the bytes, which are whole records, or none of them: with errno.
size_t Readers::put(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept try {
  std::unique_lock lock(mutex_);
  while (must_wait(bytes.size())) {
    if (give_up.load(std::memory_order_relaxed)) {
      errno = ECANCELED;
      return 0;
    }
    room_.wait_for(lock, kLook);
  }
  if (failure_) {
    errno = EPIPE;
    return 0;
  }
  const auto chunk = chunk_of(bytes, !std::exchange(begun_, true));
  if (!readers_.empty()) chunk->delivered = chunk->packets;
  for (Reader& reader : readers_) give(reader, chunk);
  const auto described = describing(*chunk, 0);
  prelude_.insert(prelude_.end(), described.begin(), described.end());
  wake();
  return bytes.size();
} catch (const std::bad_alloc&) {
  errno = ENOMEM;
  return 0;
}

/// False, with errno, when it is not waited for any more.
bool Readers::drain(const std::atomic<bool>& give_up) noexcept {
  std::unique_lock lock(mutex_);
  while (!all_sent() && !failure_) {
    if (give_up.load(std::memory_order_relaxed)) break;
    room_.wait_for(lock, kLook);
  }
  if (!failure_) return true;
  errno = EPIPE;
  return false;
}

/// Has everybody read the rest, but for those who take nothing.
void Readers::end(const std::atomic<bool>& give_up) noexcept {
  std::unique_lock lock(mutex_);
  no_more_ = true;
  is_watched_ = true;
  wake();
  const auto wait_until = [&](bool (Readers::*done)() const) {
    for (const auto begun = Clock::now(); !(this->*done)();) {
      room_.wait_for(lock, kLook);
      if (give_up.load(std::memory_order_relaxed)) return;
      const auto late = Clock::now() - kPatience;
      const bool moves = std::any_of(readers_.begin(), readers_.end(), [&](const Reader& reader) {
        return !reader.pieces.empty() && std::max(begun, reader.moved) > late;
      });
      if (!moves) return;
    }
  };
  wait_until(&Readers::all_sent);
  for (Reader& reader : readers_) complete(reader);
  wait_until(&Readers::all_sent);
  for (Reader& reader : readers_) {
    if (!reader.is_sending()) shutdown(reader.fd.get(), SHUT_WR);
  }
  wait_until(&Readers::all_acknowledged);
  while (!readers_.empty()) leave(readers_.begin(), "the trace has ended");
}

/// Idempotent.
void Readers::stop() noexcept {
  std::thread thread;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    ended_ = true;
    while (!readers_.empty()) leave(readers_.begin(), "the trace has ended");
    wake();
    tell_left(lock);
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

// With mutex_ held:

bool Readers::must_wait(size_t bytes) const {
  if (failure_) return false;
  if (readers_.empty()) return !no_more_ && !(request_.drops && request_.listens);
  if (request_.drops) return false;
  return std::any_of(readers_.begin(), readers_.end(), [&](const Reader& reader) {
    return reader.queued > 0 && reader.queued + bytes > request_.queue_bytes;
  });
}

bool Readers::all_sent() const {
  return std::all_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return !reader.is_sending(); });
}

bool Readers::all_acknowledged() const {
  return std::all_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return reader.pieces.empty(); });
}

std::shared_ptr<Readers::Chunk> Readers::chunk_of(std::span<const std::byte> bytes, bool begins_file) {
  auto chunk = std::make_shared<Chunk>(delivery_);
  chunk->bytes.assign(bytes.begin(), bytes.end());
  chunk->begins_file = begins_file;
  chunk->packets = packets_in(*chunk, bytes.size());
  delivery_->waiting += chunk->packets;
  return chunk;
}

Encoder::Record Readers::record(const Chunk& chunk, size_t at) const {
  const auto from = static_cast<uint32_t>(at);
  return request_.is_pcapng ? pcapng_record(chunk.bytes.data(), from)
                            : pcap_record(chunk.bytes.data(), from, chunk.begins_file);
}

uint32_t Readers::packets_in(const Chunk& chunk, size_t bytes) const {
  if (chunk.packets > 0 && bytes == chunk.bytes.size()) return chunk.packets;
  uint32_t packets = 0;
  for (size_t at = 0; at < bytes;) {
    const Encoder::Record next = record(chunk, at);
    if (next.end > bytes) break;
    packets += next.is_packet ? 1 : 0;
    at = next.end;
  }
  return packets;
}

/// The records from there on that packets of later ones cannot be read without.
std::vector<std::byte> Readers::describing(const Chunk& chunk, size_t from) const {
  std::vector<std::byte> found;
  for (size_t at = from; at < chunk.bytes.size();) {
    const Encoder::Record next = record(chunk, at);
    uint32_t type = 0;
    std::memcpy(&type, chunk.bytes.data() + at, sizeof type);
    const bool counts = request_.is_pcapng && type == pcapng::kStatistics;
    if (!next.is_packet && !counts) {
      found.insert(found.end(), chunk.bytes.begin() + static_cast<std::ptrdiff_t>(at),
                   chunk.bytes.begin() + static_cast<std::ptrdiff_t>(next.end));
    }
    at = next.end;
  }
  return found;
}

/// As much of it as there is room for, and what later packets need of the rest.
void Readers::give(Reader& reader, const std::shared_ptr<Chunk>& chunk) {
  const size_t all = chunk->bytes.size();
  size_t bytes = all;
  if (request_.drops && reader.queued + all > request_.queue_bytes) {
    const uint64_t room = request_.queue_bytes - std::min(request_.queue_bytes, reader.queued);
    bytes = 0;
    while (bytes < all) {
      const size_t end = record(*chunk, bytes).end;
      if (end > room) break;
      bytes = end;
    }
    chunk->delivered = std::min(chunk->delivered, packets_in(*chunk, bytes));
  }
  if (reader.queued == 0) reader.moved = Clock::now();
  if (bytes > 0) {
    reader.pieces.push_back({.chunk = chunk, .bytes = bytes});
    reader.queued += bytes;
  }
  if (bytes == all) return;
  const auto rest = describing(*chunk, bytes);
  if (rest.empty()) return;
  reader.pieces.push_back({.chunk = chunk_of(rest, false), .bytes = rest.size()});
  reader.queued += rest.size();
}

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

void Readers::wake() const noexcept {
  if (wakes_) [[maybe_unused]]
    const ssize_t n = ::send(wakes_.get(), "", 1, kSendFlags);
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
    if (n == 0) reader.listens = false;  // it may read on
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
