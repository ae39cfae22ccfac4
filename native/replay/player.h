// A trace in memory, and a thread that sends it in time.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/tx.h"
#include "replay/lateness.h"
#include "replay/sides.h"
#include "rewrite/edits.h"

namespace ringtap::replay {

/// Where frames go. Called from the thread that plays, one at a time.
struct Way {
  std::function<Result<uint32_t>(std::span<const TxFrame>)> send;
  std::function<Result<Ok>()> flush;
  std::function<TxStats()> stats;
  TxLimits limits;
};

enum class Oversize : uint8_t { kRefuse, kTruncate, kSkip };

struct Settings {
  enum class Pace : uint8_t { kRecorded, kPackets, kBits, kTopSpeed } pace = Pace::kRecorded;
  double rate = 1;      // times as fast, packets or bits a second
  uint64_t loops = 1;   // 0: for ever
  bool shifts = false;  // after a delay the rest comes later, instead of closer together
  Oversize oversize = Oversize::kRefuse;
  uint64_t memory_bytes = uint64_t{2} << 30;
  std::array<rewrite::Edits, 2> edits{};  // of each way
  Sides sides{};                          // where there are two ways
};

/// What became of the packets so far. `frames` of a loop, so many times, are to be sent.
struct Progress {
  uint64_t read = 0;       // packets given to add()
  uint64_t kept = 0;       // frames of a loop
  uint64_t skipped = 0;    // too long, too short to be a frame, or out of time to live
  uint64_t truncated = 0;  // too long, and cut
  uint64_t cut = 0;        // kept, but captured in part only
  uint64_t backwards = 0;  // earlier than one before it
  uint64_t sent = 0;       // accepted
  uint64_t bytes = 0;      // of these
  uint64_t unsent = 0;     // queued when it ended, and never sent
  uint64_t loops = 0;      // done
  int64_t elapsed_ns = 0;
  int64_t planned_ns = 0;  // when the last frame that was sent should have been
  uint64_t late50_ns = 0;
  uint64_t late90_ns = 0;
  uint64_t late99_ns = 0;
  uint64_t late_most_ns = 0;
  std::array<TxStats, 2> ways{};
};

class Player {
 public:
  Player(Settings settings, std::vector<Way> ways);

  /// Takes a packet into memory. False: it is left out. Not once it plays.
  Result<bool> add(std::span<const std::byte> frame, uint32_t wirelen, int64_t time_ns);

  /// Sends everything, on this thread; comes back when it is done, fails or is stopped.
  Result<Ok> play();
  /// Ends play(), within microseconds. Any thread.
  void stop() noexcept;
  bool is_stopped() const noexcept { return stopped_; }
  /// Any thread.
  Progress progress() const;

 private:
  struct Frame {
    const std::byte* bytes;
    int64_t time_ns;  // after the first one's, never going back
    uint32_t length;
    uint32_t way;
  };

  std::byte* room(size_t bytes);
  int64_t due(uint64_t index) const noexcept;
  bool wait_until(int64_t due_ns) noexcept;
  void nap(int64_t ns) noexcept;
  Result<bool> send(uint64_t from, uint64_t end, int64_t due_of_first);
  void note(int64_t due_ns, uint64_t frames, uint64_t bytes) noexcept;
  Result<Ok> finish();

  const Settings settings_;
  Sides sides_;
  const std::vector<Way> ways_;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  size_t chunk_left_ = 0;
  uint64_t memory_ = 0;
  std::vector<Frame> frames_;
  std::vector<uint64_t> bytes_before_;  // of each frame, in a loop
  std::optional<int64_t> first_ns_;
  int64_t latest_ns_ = 0;
  int64_t loop_ns_ = 0;  // how long one takes, as recorded

  int64_t start_ns_ = 0;
  uint64_t loop_ = 0;
  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  Lateness lateness_;
  Progress progress_;
  int64_t ended_ns_ = 0;
};

}  // namespace ringtap::replay
