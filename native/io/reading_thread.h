// A thread that reads where read(2) may wait: for a disk, a server, or another process.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "core/region.h"
#include "core/source.h"
#include "io/descriptor.h"
#include "io/tail.h"

namespace ringtap {

/// One read at a time: ask(), then answer() until it is there.
///
/// WHY what it works on is shared: read(2) on a server that is gone cannot be called off. The thread is left behind
/// then, and what it writes to stays until it comes back.
class ReadingThread {
 public:
  static constexpr int64_t kNothingYet = Descriptor::kNothingYet;
  static constexpr int64_t kFailed = Descriptor::kFailed;

  /// `stream`: it may have nothing to say for long. `tail`: it may go on behind its end. Null, with errno set, where
  /// descriptors have run out.
  static std::unique_ptr<ReadingThread> make(Descriptor file, bool stream, std::shared_ptr<Tail> tail = nullptr);
  ~ReadingThread();
  ReadingThread(const ReadingThread&) = delete;
  ReadingThread& operator=(const ReadingThread&) = delete;

  /// The file, for what needs no thread: while nothing is asked.
  const Descriptor& file() const noexcept;
  /// Begins to read. False, with errno set, where there is no thread to be had.
  bool ask(std::byte* to, size_t bytes, std::shared_ptr<Region> owner) noexcept;
  /// Whether ask() was not answered yet.
  bool asked() const noexcept { return asked_; }
  /// What was read, 0 at the end, kNothingYet, or kFailed with errno set.
  int64_t answer() noexcept;

  /// Waits for an answer. False when time is up.
  bool wait(int timeout_ms) const noexcept;
  /// Tells that there is an answer, or that nothing was asked.
  Readiness readiness() const noexcept;
  bool pending() const noexcept;

 private:
  struct Shared;
  explicit ReadingThread(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  static void run(const std::shared_ptr<Shared>& shared) noexcept;

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
  bool asked_ = false;
};

}  // namespace ringtap
