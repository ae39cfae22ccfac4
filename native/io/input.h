// Where a trace comes from: a regular file, or a stream that may have nothing to say yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/region.h"
#include "core/source.h"
#include "io/descriptor.h"
#include "io/reading_thread.h"

namespace ringtap {

/// Never waits, whatever is behind the path: what may wait is done by a thread.
class Input {
 public:
  /// `-` is standard input, which is never closed nor switched to non-blocking mode.
  static Result<Input> open(const std::string& path);

  /// Bytes read, 0 at the end, kNothingYet, or kFailed with errno set. After kNothingYet these bytes may be written at
  /// any time until a read has another result: ask for the same again. `owner` keeps them until then.
  int64_t read(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept;
  static constexpr int64_t kNothingYet = Descriptor::kNothingYet;
  static constexpr int64_t kFailed = Descriptor::kFailed;

  /// A read that is not done yet knows where it reads to.
  bool reading() const noexcept { return thread_ != nullptr && thread_->asked(); }

  /// Waits until there may be something to read. False when time is up.
  bool wait(int timeout_ms) const noexcept;
  Readiness readiness() const noexcept;
  bool pending() const noexcept { return thread_ == nullptr || thread_->pending(); }

  bool stream() const noexcept { return stream_; }
  /// What a failed read at this byte failed with; right after it.
  Error failure(uint64_t at) const;
  void close() noexcept;

 private:
  Input(Descriptor file, bool stream) : file_(std::move(file)), stream_(stream) {}

  Descriptor file_;                        // one that never waits …
  std::unique_ptr<ReadingThread> thread_;  // … or this
  bool stream_;
  bool tells_cached_ = true;
  uint64_t piece_ = 128u << 10;  // what the thread reads at most
  bool no_thread_ = false;
};

}  // namespace ringtap
