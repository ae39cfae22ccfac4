// The thread that decompresses ahead.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "core/region.h"
#include "core/source.h"
#include "io/compression/codec.h"
#include "io/descriptor.h"
#include "io/input.h"
#include "io/parts.h"

namespace ringtap {

/// Reads an input, and keeps up to a few buffers of what it decompresses.
class DecompressingThread {
 public:
  /// How to begin anew in the middle.
  struct Anew {
    Compression compression = Compression::kNone;
    uint64_t most_window = 0;
    Parts parts = {};
  };
  /// `head`: what was already read of the input.
  static Result<std::unique_ptr<DecompressingThread>> make(std::unique_ptr<Input> input,
                                                           std::unique_ptr<Decompressor> decompressor,
                                                           std::span<const std::byte> head, Anew anew);
  ~DecompressingThread();
  DecompressingThread(const DecompressingThread&) = delete;
  DecompressingThread& operator=(const DecompressingThread&) = delete;

  /// As of an Input.
  int64_t read(std::byte* to, size_t bytes) noexcept;
  bool wait(int timeout_ms) const noexcept;
  Readiness readiness() const noexcept;
  bool pending() const noexcept;
  uint64_t left_out() const noexcept { return left_out_; }
  Error failure() const;

  static constexpr size_t kInBytes = 256u << 10;  // read of the input at once

 private:
  struct Buffers {
    size_t count;
    size_t bytes;  // of each
  };
  static Buffers buffers_for(Compression compression) noexcept;

  struct Buffer {
    std::byte* at = nullptr;
    size_t bytes = 0;
    size_t taken = 0;
    uint64_t at_byte = 0;  // of all that can be decompressed
  };
  enum class Outcome : uint8_t { kMore, kEnded, kStopped };

  DecompressingThread(std::unique_ptr<Input> input, std::unique_ptr<Decompressor> decompressor,
                      std::shared_ptr<Region> region, Anew anew);

  void run() noexcept;
  std::optional<Buffer> next_free();
  Outcome fill(Buffer& buffer);
  Outcome next_piece();
  bool feed_head();
  uint64_t end_of_input() const noexcept;
  Outcome read_more(bool may_wait);
  bool wait_for_input();
  void fail(Error error);
  void hand_over(const Buffer& buffer);
  void end();
  void set_ready(bool is_ready) const noexcept;

  // The thread's own:
  const std::unique_ptr<Input> input_;
  std::unique_ptr<Decompressor> decompressor_;
  const std::shared_ptr<Region> region_;
  const size_t buffer_bytes_;
  std::span<const std::byte> unread_;  // of what was read of the input
  uint64_t read_ = 0;                  // of the input, ever
  uint64_t made_ = 0;                  // of decompressed bytes, ever
  bool was_last_ = false;              // the input has ended
  bool has_more_ = false;              // the decompressor may have more to put out, without more input
  const Anew anew_;
  std::vector<std::byte> head_;                                 // what a decompressor gets before the bytes of a piece
  size_t piece_ = 0;                                            // that is being read
  uint64_t piece_left_ = std::numeric_limits<uint64_t>::max();  // of it, decompressed

  uint64_t delivered_ = 0;  // the reader's: bytes of all that can be decompressed, left out or not,
  uint64_t left_out_ = 0;   // of which it did not get so many

#ifdef __linux__
  Descriptor ready_;    // an eventfd: readable while there is something to read
  Descriptor stopped_;  // an eventfd: readable once `stop_` is set
#endif
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  std::deque<Buffer> full_;
  std::deque<Buffer> free_;
  bool ended_ = false;
  bool stop_ = false;
  std::optional<Error> error_;

  std::thread thread_;
};

}  // namespace ringtap
