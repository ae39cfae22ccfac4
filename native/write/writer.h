// Writes batches as a pcap or pcapng trace: one copy per packet, and what may wait on a thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/region.h"
#include "core/snaplen.h"
#include "format/encoder.h"
#include "io/output.h"
#include "write/ordering.h"
#include "write/rotation.h"

namespace ringtap {

enum class TraceFormat : uint8_t { kPcap, kPcapng, kErf };

struct WriterRequest {
  Destination to;
  TraceFormat format = TraceFormat::kPcap;
  std::optional<uint32_t> link_type =
      {};                          // of the file (pcap), or its first interface (pcapng); else that of the first batch
  uint32_t snaplen = kMaxSnaplen;  // packets are cut to this length; at most to this one
  bool nanosecond = true;          // false: microseconds
  std::chrono::milliseconds delay{500};  // how long a packet may wait for others before it is written
  std::string application = {};          // pcapng: who wrote it, such as "ringtap 1.0.0"
  std::string comment = {};              // pcapng: about the section
  std::string hardware = {};             // pcapng: of the host,
  std::string os = {};
  // What the packets come from; pcapng tells of it. More than one: batches say by `source` which.
  std::vector<InterfaceInfo> interfaces = {InterfaceInfo{}};
  std::chrono::milliseconds lateness{0};  // several: how long packets wait for earlier ones of others,
  size_t order_bytes = 64u << 20;         // and in how much memory at most
  bool packet_details = false;            // pcapng: direction, number and queue of each packet
  RotateRequest rotate = {};              // `to` makes another file each time it is opened
  uint64_t queue_bytes = 4u << 20;        // what may lie between append() and the output; whole buffers, two at least
  bool drops = false;                     // what finds no room there is dropped, and counted
  bool keeps = false;                     // pcapng: packets are of other traces, whose interfaces and options they keep
  bool keeps_resolution = false;          // and how their times are counted
};

/// A file that is complete.
struct FinishedFile {
  std::string path;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t earliest_ns = 0;  // Unix times of its packets, if it has any
  uint64_t latest_ns = 0;
};

/// A trace that is being written. Any thread may call anything at any time; nothing but leave() waits.
///
/// append() copies into buffers. The writer's own thread opens the output, writes each buffer when it is full or when
/// its first packet has waited for `delay`, and ends with the file closed: after close() or leave(), a failure, or when
/// the last handle is gone and everything is written.
class TraceWriter : public std::enable_shared_from_this<TraceWriter> {
 public:
  /// Called once: on the writer's thread, or before the call that was given it returns.
  using Done = std::function<void(const Result<Ok>&)>;
  /// What forget() knows such a call by.
  using Ticket = uint64_t;

  /// Starts the thread, which opens or creates the file: when_tried() tells what came of it. The answer is the handle;
  /// the thread keeps the writer alive for as long as it needs it.
  static Result<std::shared_ptr<TraceWriter>> create(WriterRequest request);
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  /// When the file was opened, and its header written if the link type is given, or it turned out that nobody reads the
  /// named pipe yet.
  Ticket when_tried(Done done);
  /// False before that, and while nobody reads the named pipe.
  bool is_open() const;

  /// Copies the packets to take of the batch from the `first`-th on, as many as the buffers have room for, and answers
  /// how many were taken, those before `first` included: after when_room(), go on from there. With `drops` the others
  /// count as dropped, and so as taken. On an error, the packets
  /// before the bad one (named in the message) were taken; RELEASED, BAD_OPTION, UNSUPPORTED: the writer remains
  /// usable. FILE_WRITE: it does not.
  Result<uint32_t> append(const BatchView& batch, uint32_t first = 0);
  /// When append() may take more.
  Ticket when_room(Done done);

  /// When everything that append() has taken so far has reached the file.
  Ticket flush(Done done);

  /// Counts of the capture that the packets of a source come from: pcapng files end with them.
  void set_drop_counts(uint32_t source, DropCounts counts);

  /// pcapng: a remark about the next packet, of up to 65535 bytes; instead of one that is not written yet.
  Result<Ok> comment(std::string text);
  /// pcapng: names, or what decrypts packets, in front of those that come, also of those of the files that follow. At
  /// most kMostBlockBytes each, and kMostBlocksBytes together.
  Result<Ok> block(TraceBlock block);
  /// The same of an interface of another trace. @returns its number, as in BatchView::interfaces; that of one that is
  /// the same, where there is one
  Result<uint32_t> interface(const TraceBlock& block);
  /// What sections of other traces say of themselves: before the first packet. False: it is left out.
  bool section(const TraceBlock& block);
  /// Whether something that packets had beside them was too much.
  bool leaves_out() const;
  static constexpr size_t kMostBlockBytes = (1 << 19) + 8;  // the most secrets, and what is said of them

  /// Takes nothing more, writes what was taken, and closes the file. Whoever waits for room is told, and then refused.
  /// A second call answers as the first did.
  Ticket close(Done done);

  /// The process or the thread that writes ends, or nobody wants the rest: as close(), but a pipe that is full is not
  /// waited for. Waits until that is done, for up to `patience`.
  void leave(std::chrono::milliseconds patience);

  /// When the last file is closed, whyever.
  Ticket when_ended(Done done);

  /// Files that are complete and were not told yet; an empty list: there will be no more. Nothing: there are none yet.
  std::optional<std::vector<FinishedFile>> take_files();
  /// The same once there are any. One call at a time.
  using FilesDone = std::function<void(std::vector<FinishedFile>)>;
  void when_files(FilesDone done);

  /// Nobody waits for that any more. False when it was called already, or is just being.
  bool forget(Ticket ticket);

  struct Counts {
    uint64_t packets = 0;  // that have safely reached their file
    uint64_t bytes = 0;    // of all files
    uint64_t queued = 0;   // packets taken, and not in the file yet
    uint64_t dropped = 0;  // packets that found no room, or that a failure has kept out of the file
    uint64_t files = 0;    // that are complete
    uint64_t late = 0;     // packets that stand behind one of a later time, as they came too late to be put in order
  };
  Counts counts() const;

  static constexpr uint32_t kBufferBytes = 1 << 20;

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiter {
    Ticket ticket = 0;
    Done done;
    uint64_t buffers = 0;  // how many have to be written
  };
  using Waiting = std::vector<Waiter>;

  TraceWriter(WriterRequest request, std::shared_ptr<Region> region, std::unique_ptr<Ordering> ordering);

  void run();
  bool open_output();
  EncodeBuffer* next_full();
  bool write_out(EncodeBuffer& buffer);
  size_t put(const EncodeBuffer& buffer);
  Output::Held held_by(const EncodeBuffer& buffer) const;
  void cannot_write(int err, bool is_clean);
  bool must_show() const;
  bool show(std::unique_lock<std::mutex>& lock, bool is_last);
  void shown(std::unique_lock<std::mutex>& lock);
  struct Whole {
    uint64_t bytes = 0;
    uint64_t packets = 0;
  };
  Whole whole_records(const EncodeBuffer& buffer, size_t bytes) const;
  bool open_next();
  void count(const EncodeBuffer& buffer, const Whole& whole);
  bool finish_file(std::unique_lock<std::mutex>& lock);
  void end();

  void finish();
  static void tell(std::unique_lock<std::mutex>& lock, Waiting& waiting, const Result<Ok>& outcome);
  void tell_files(std::unique_lock<std::mutex>& lock);
  Ticket add(Waiting& waiting, Done done);
  Result<Ok> outcome() const;
  std::optional<Error> named(std::optional<Error> error) const;
  std::optional<Error> begin(uint32_t link_type, uint32_t source);
  Result<bool> put(const BatchView& batch, uint32_t& next);
  Result<bool> keep(const BatchView& batch, uint32_t& next);
  bool release(const BatchView& batch);
  bool release_some(std::unique_lock<std::mutex>& lock);
  void drained(std::unique_lock<std::mutex>& lock);
  std::optional<Error> fill(const BatchView& batch, uint32_t& next);
  void end_file();
  void drop(uint32_t source, uint64_t packets);
  Result<Ok> add(TraceBlock block);
  bool put_blocks();
  Result<Ok> unless_pcap(const char* what) const;
  Error closed() const;
  bool take_free();
  void is_due(std::chrono::milliseconds after);
  void hand_over();

  const WriterRequest request_;
  const std::shared_ptr<Region> region_;
  std::vector<EncodeBuffer> buffers_;

  std::unique_ptr<Output> output_;    // the thread's own
  FinishedFile file_;                 // what it has by now
  std::optional<uint64_t> begin_ns_;  // of its first packet
  std::atomic<bool> give_up_{false};  // a pipe that is full is not waited for any more

  mutable std::mutex mutex_;           // guards what follows
  std::condition_variable work_;       // for the thread
  std::condition_variable no_longer_;  // for leave()
  std::unique_ptr<Encoder> encoder_;   // none before the link type is known
  Rotation rotation_;
  std::unique_ptr<Ordering> ordering_;  // none: packets are written as they come
  bool drains_ = false;                 // all that it keeps is wanted now
  bool in_file_ = false;                // one was begun, and not ended
  EncodeBuffer* filling_ = nullptr;
  Clock::time_point due_;  // when what is in it has to be written
  std::deque<EncodeBuffer*> full_;
  std::vector<EncodeBuffer*> free_;
  uint64_t handed_over_ = 0;    // buffers, ever
  uint64_t put_ = 0;            // buffers, ever, that the output was given
  uint64_t written_ = 0;        // buffers, ever, that readers see
  Whole kept_back_;             // what readers do not see yet
  Clock::time_point kept_due_;  // when they have to
  bool open_ = false;
  bool tried_ = false;
  bool closing_ = false;
  bool ended_ = false;
  std::optional<Error> error_;
  uint64_t taken_ = 0;    // packets
  uint64_t packets_ = 0;  // of them in the file
  uint64_t dropped_ = 0;  // instead of being taken
  struct Source {
    uint64_t dropped = 0;  // of its packets
    uint64_t lost = 0;     // that are missing before the next one
  };
  std::vector<Source> sources_;
  uint64_t bytes_ = 0;
  uint64_t bytes_before_ = 0;  // of the files that are complete
  uint64_t files_ = 0;
  std::vector<FinishedFile> finished_;  // that were not told
  FilesDone for_files_;
  Ticket tickets_ = 0;
  std::vector<std::optional<DropCounts>> drop_counts_;  // of each source
  std::string comment_;                                 // that the encoder does not have yet
  std::deque<TraceBlock> blocks_;
  std::map<std::pair<std::string_view, uint32_t>, uint32_t> interfaces_;  // the numbers of those among them
  std::string section_;
  size_t blocks_bytes_ = 0;
  size_t blocks_put_ = 0;  // how many are in this file
  Waiting for_try_;
  Waiting for_room_;
  Waiting for_end_;
  Waiting for_drained_;  // until nothing waits for earlier packets; then
  Waiting for_written_;  // in the order of how many buffers have to be
};

}  // namespace ringtap
