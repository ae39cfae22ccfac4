// Those who read a trace through connections while it is written.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"
#include "format/encoder.h"
#include "io/compression/codec.h"
#include "io/connection.h"
#include "io/output.h"

namespace ringtap {

struct ReadersRequest {
  std::string name;  // as messages show it
  bool is_pcapng = false;
  bool drops = false;               // who has no room loses packets, which are counted; else all wait for the slowest
  bool listens = false;             // others connect to us; else we have connected, to one
  bool comes_back = false;          // who has left may be followed by another; else the trace ends with him
  uint64_t queue_bytes = 4u << 20;  // that may wait for each
  std::optional<CompressionRequest> compression = {};
};

/// Each reader is given what the trace begins with, and every record from when it came on; a packet whole or not at
/// all. A thread of their own sends. Any thread may call anything.
class Readers final : public std::enable_shared_from_this<Readers> {
 public:
  static std::shared_ptr<Readers> create(ReadersRequest request);
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;
  ~Readers();

  /// Where a TraceWriter writes to, once. Where nothing is dropped, it opens when the first reader is there.
  Destination destination();

  /// One more. False where the trace has ended: then the connection is closed.
  bool add(const std::shared_ptr<Connection>& connection);
  /// Nobody else will come: what nobody reads is lost, and not waited with.
  void no_more();
  /// How many there are.
  uint32_t count() const;
  /// The trace has ended, and so do the connections. Idempotent; waits for the thread.
  void stop() noexcept;

  /// Called once: why a reader has left that was not told of yet, or nothing, when the trace has ended.
  using Left = std::function<void(std::optional<std::string>)>;
  void when_left(Left done);

 private:
  using Clock = std::chrono::steady_clock;

  /// Records that several readers are sent; its packets that one of them did not get are lost.
  struct Chunk {
    explicit Chunk(std::shared_ptr<Delivery> to) : delivery(std::move(to)) {}
    Chunk(const Chunk&) = delete;
    Chunk& operator=(const Chunk&) = delete;
    ~Chunk();
    const std::shared_ptr<Delivery> delivery;
    std::vector<std::byte> bytes;
    bool begins_file = false;
    uint32_t packets = 0;
    uint32_t delivered = 0;  // to everybody
  };
  struct Piece {
    std::shared_ptr<Chunk> chunk;
    size_t bytes = 0;      // of it that are sent
    uint64_t end_out = 0;  // once they are: how far the connection is then
  };
  struct Reader {
    UniqueFd fd;
    std::shared_ptr<Connection> connection;
    std::deque<Piece> pieces;      // the first that were sent wait to be acknowledged
    size_t next = 0;               // which is being sent,
    size_t done = 0;               // and how much of it was
    uint64_t queued = 0;           // bytes that were not sent
    uint64_t out = 0;              // bytes that the socket has taken
    uint64_t acknowledged_at = 0;  // what the kernel had counted before
    bool acknowledges = false;
    bool listens = true;  // it has not ended its side
    std::unique_ptr<Compressor> compressor;
    Packed packed;
    size_t packed_done = 0;
    Clock::time_point moved;

    bool is_sending() const noexcept { return next < pieces.size(); }
  };
  friend class ReadersOutput;

  explicit Readers(ReadersRequest request) : request_(std::move(request)) {}

  Result<std::unique_ptr<Output>> open();
  size_t put(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept;
  bool drain(const std::atomic<bool>& give_up) noexcept;
  void end(const std::atomic<bool>& give_up) noexcept;
  std::optional<Error> failure() const;

  void run();
  bool must_wait(size_t bytes) const;
  void give(Reader& reader, const std::shared_ptr<Chunk>& chunk);
  bool serve(std::list<Reader>::iterator at);
  int send_some(Reader& reader);
  bool pack(Reader& reader, Piece& piece);
  void complete(Reader& reader);
  void piece_sent(Reader& reader);
  void acknowledge(Reader& reader);
  void leave(std::list<Reader>::iterator reader, std::string why);
  void tell_left(std::unique_lock<std::mutex>& lock);
  void wake() const noexcept;
  bool all_sent() const;
  bool all_acknowledged() const;
  std::shared_ptr<Chunk> chunk_of(std::span<const std::byte> bytes, bool begins_file);
  Encoder::Record record(const Chunk& chunk, size_t at) const;
  uint32_t packets_in(const Chunk& chunk, size_t bytes) const;
  std::vector<std::byte> describing(const Chunk& chunk, size_t from) const;

  const ReadersRequest request_;
  const std::shared_ptr<Delivery> delivery_ = std::make_shared<Delivery>();
  UniqueFd wakes_, woken_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::thread thread_;
  std::list<Reader> readers_;
  std::vector<std::byte> prelude_;  // what the trace begins with, for those who come later
  bool begun_ = false;
  bool no_more_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  bool is_watched_ = false;  // somebody waits for what is acknowledged
  std::optional<Error> failure_;
  std::deque<std::string> left_;
  Left for_left_;
};

}  // namespace ringtap
