// Writes lent batches to a pcap or pcapng file: one copy per packet, and write(2) on a thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/region.h"
#include "format/encoder.h"
#include "io/output_file.h"

namespace ringtap {

enum class TraceFormat : uint8_t { kPcap, kPcapng };

struct WriterRequest {
  std::string path;  // `-` is standard output
  TraceFormat format = TraceFormat::kPcap;
  std::optional<uint32_t> link_type =
      {};                     // of the file (pcap), or its first interface (pcapng); else that of the first batch
  uint32_t snaplen = 262144;  // packets are cut to this length; at most 262144
  bool nanosecond = true;     // false: microseconds
  bool append = false;        // add to an existing trace of the same kind; else it is emptied
  std::chrono::milliseconds delay{500};  // how long a packet may wait for others before it is written
  std::string application = {};          // pcapng: who wrote it, such as "ringtap 1.0.0"
  std::string comment = {};              // pcapng: about the section
};

/// A trace that is being written. Any thread may call anything at any time; nothing but leave() waits.
///
/// append() copies into buffers. The writer's own thread opens the file, writes each buffer when it is full or when its
/// first packet has waited for `delay`, and ends with the file closed: after close() or leave(), a failure, or when the
/// last handle is gone and everything is written.
class TraceWriter : public std::enable_shared_from_this<TraceWriter> {
 public:
  /// Called once: on the writer's thread, or before the call that was given it returns.
  using Done = std::function<void(const Result<Ok>&)>;

  /// Starts the thread, which opens or creates the file: when_tried() tells what came of it. The answer is the handle;
  /// the thread keeps the writer alive for as long as it needs it.
  static Result<std::shared_ptr<TraceWriter>> create(WriterRequest request);
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  /// When the file was opened, and its header written if the link type is given, or it turned out that nobody reads the
  /// named pipe yet.
  void when_tried(Done done);
  /// False before that, and while nobody reads the named pipe.
  bool is_open() const;

  /// Copies packets [first, …) of the batch, as many as the buffers have room for, and answers the index of the first
  /// one not taken: after when_room(), go on with the rest. On an error, the packets before the bad one (named in the
  /// message) were taken; RELEASED, BAD_OPTION, UNSUPPORTED: the writer remains usable. FILE_WRITE: it does not.
  Result<uint32_t> append(const BatchView& batch, uint32_t first = 0);
  /// When append() may take more.
  void when_room(Done done);

  /// When everything that append() has taken so far has reached the file.
  void flush(Done done);

  /// Counts of the capture that the packets come from: pcapng files end with them.
  void set_drop_counts(uint64_t received, uint64_t dropped);

  /// Takes nothing more, writes what was taken, and closes the file. Whoever waits for room is told, and then refused.
  /// A second call answers as the first did.
  void close(Done done);

  /// The process or the thread that writes ends, or nobody wants the rest: as close(), but a pipe that is full is not
  /// waited for. Waits until that is done, for up to `patience`.
  void leave(std::chrono::milliseconds patience);

  /// When the file is closed, whyever.
  void when_ended(Done done);

  /// What has safely reached the file through this writer.
  uint64_t packets_written() const;
  uint64_t bytes_written() const;

  static constexpr uint32_t kBuffers = 4;
  static constexpr uint32_t kBufferBytes = 1 << 20;

 private:
  using Clock = std::chrono::steady_clock;
  using Waiting = std::vector<Done>;

  TraceWriter(WriterRequest request, std::shared_ptr<Region> region);

  void run();
  bool open_file();
  EncodeBuffer* next_full();
  bool write_out(EncodeBuffer& buffer);
  size_t put(const EncodeBuffer& buffer);
  struct Whole {
    uint32_t bytes = 0;
    uint32_t packets = 0;
  };
  Whole whole_records(const EncodeBuffer& buffer, size_t bytes) const;
  void end();

  void finish();
  Result<Ok> outcome() const;
  std::optional<Error> named(std::optional<Error> error) const;
  std::optional<Error> begin(uint32_t link_type);
  bool take_free();
  void is_due(std::chrono::milliseconds after);
  void hand_over();

  const WriterRequest request_;
  const std::string name_;  // as messages show it
  const std::shared_ptr<Region> region_;
  EncodeBuffer buffers_[kBuffers];

  std::optional<OutputFile> file_;    // the thread's own
  std::atomic<bool> give_up_{false};  // a pipe that is full is not waited for any more

  mutable std::mutex mutex_;           // guards what follows
  std::condition_variable work_;       // for the thread
  std::condition_variable no_longer_;  // for leave()
  std::unique_ptr<Encoder> encoder_;   // none before the link type is known
  EncodeBuffer* filling_ = nullptr;
  Clock::time_point due_;  // when what is in it has to be written
  std::deque<EncodeBuffer*> full_;
  std::vector<EncodeBuffer*> free_;
  uint64_t handed_over_ = 0;  // buffers, ever
  uint64_t written_ = 0;      // buffers, ever
  std::vector<std::byte> existing_;
  bool open_ = false;
  bool tried_ = false;
  bool closing_ = false;
  bool ended_ = false;
  std::optional<Error> error_;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
  std::optional<DropCounts> drop_counts_;
  Waiting for_try_;
  Waiting for_room_;
  Waiting for_end_;
  std::deque<std::pair<uint64_t, Done>> for_written_;  // how many buffers have to be
};

}  // namespace ringtap
