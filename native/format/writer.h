// Writes lent batches to a pcap or pcapng file: one copy per packet, and write(2) on another thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/desc.h"
#include "core/error.h"
#include "core/region.h"
#include "format/encoder.h"
#include "format/output_file.h"

namespace ringtap {

enum class TraceFormat : uint8_t { kPcap, kPcapng };

struct WriterRequest {
  std::string path;  // `-` is standard output
  TraceFormat format = TraceFormat::kPcap;
  uint32_t link_type = 1;        // of the file (pcap), or of its first interface (pcapng)
  uint32_t snaplen = 262144;     // packets are cut to this length; at most 262144
  bool nanosecond = true;        // false: microseconds
  bool append = false;           // add to an existing trace of the same kind; else it is emptied
  std::string application = {};  // pcapng: who wrote it, such as "ringtap 1.0.0"
  std::string comment = {};      // pcapng: about the section
};

/// How to use it: append() and flush() on one thread; drain() on the same or on another one, at any time;
/// close() last, when no other call is under way. When append() takes less than the whole batch, the buffers
/// are full: drain(), then go on with the rest.
class TraceWriter {
 public:
  /// Opens or creates the file. The header reaches it with the first drain().
  static Result<std::unique_ptr<TraceWriter>> create(const WriterRequest& request);
  /// Closes the file as it is: what was not drained is lost.
  ~TraceWriter() = default;
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  /// Copies packets [first, …) of the batch, as many as the buffers have room for, and answers the index of
  /// the first one not taken. On an error, the packets before the bad one (named in the message) were taken;
  /// RELEASED, BAD_OPTION: the writer remains usable. FILE_WRITE: it does not.
  Result<uint32_t> append(const BatchView& batch, uint32_t first = 0);

  /// All buffers are full: append() takes nothing until drain() has run.
  bool must_wait() const;
  /// There is a full buffer for drain() to write.
  bool ready() const;

  /// Hands what append() has copied so far to the next drain().
  void flush();

  /// Writes all full buffers. Blocks as long as write(2) does: not for the event loop.
  Result<Ok> drain();

  /// Counts of the capture that the packets come from: pcapng files end with them.
  void set_drop_counts(uint64_t received, uint64_t dropped);

  /// Drains everything and closes the file. A second call answers as the first did.
  Result<Ok> close();

  /// What has safely reached the file through this writer.
  uint64_t packets_written() const;
  uint64_t bytes_written() const;

  static constexpr uint32_t kBuffers = 4;
  static constexpr uint32_t kBufferBytes = 1 << 20;

 private:
  TraceWriter(std::string name, OutputFile file, std::unique_ptr<Encoder> encoder, std::shared_ptr<Region> region);

  bool take_free();
  void hand_over();
  std::optional<Error> write_out(EncodeBuffer& buffer);

  const std::string name_;  // as messages show it
  OutputFile file_;
  const std::unique_ptr<Encoder> encoder_;
  const std::shared_ptr<Region> region_;
  EncodeBuffer buffers_[kBuffers];
  EncodeBuffer* filling_ = nullptr;  // its bytes are touched by append() only

  std::mutex drain_mutex_;    // one drain at a time; taken before mutex_
  mutable std::mutex mutex_;  // guards what follows
  std::deque<EncodeBuffer*> full_;
  std::vector<EncodeBuffer*> free_;
  std::optional<Error> error_;
  bool closed_ = false;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
  std::optional<DropCounts> drop_counts_;
};

}  // namespace ringtap
