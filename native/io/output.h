// Where bytes go.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/error.h"

namespace ringtap {

/// Takes bytes one after the other, on a thread that may wait and has its signals blocked. A new kind is a file beside
/// file_output.cc.
class Output {
 public:
  virtual ~Output() = default;

  /// As many bytes as the next write() puts out whole or not at all, so that no reader ever sees a part, however the
  /// process ends: waits until there is any room, or `give_up` is set. 0: nobody reads along, and any number may be
  /// cut.
  virtual size_t bytes_at_once(const std::atomic<bool>& give_up) noexcept = 0;

  /// What packets the bytes of the next write() hold.
  struct Held {
    bool any = false;
    int64_t first = 0;  // Unix times in ns
    int64_t earliest = 0;
    int64_t latest = 0;
    bool describes = false;     // packets of later writes cannot be read without them
    uint64_t before_first = 0;  // of these bytes, no packet's; 0: not known
  };
  virtual void holds([[maybe_unused]] const Held& held) noexcept {}

  /// Writes all of it, waiting for whoever reads it until `give_up` is set (ECANCELED). Answers how many bytes went
  /// out; when these are not all, errno says why. Raises SIGPIPE and SIGXFSZ, which this thread has to block.
  virtual size_t write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept = 0;

  /// Takes the last `bytes` written back, where that is possible.
  virtual bool take_back(size_t bytes) noexcept = 0;

  /// Whether some of what was written does not show yet, as what is compressed together does not: flush() shows it.
  virtual bool keeps_back() const noexcept { return false; }
  /// False: errno says why, and what was kept back is lost.
  virtual bool flush([[maybe_unused]] const std::atomic<bool>& give_up) noexcept { return true; }
  /// Nothing more will be written: flushes, and puts out what the whole has to end with. Before close().
  virtual bool finish([[maybe_unused]] const std::atomic<bool>& give_up) noexcept { return true; }
  /// Why write() put out less, where its errno does not say it.
  virtual std::optional<Error> failure() const { return std::nullopt; }
  /// How long it is, where that is not what was written.
  virtual std::optional<uint64_t> bytes_out() const noexcept { return std::nullopt; }

  /// 0, or the errno of a failure that the system reports only now. Idempotent; the destructor does it, too.
  virtual int close() noexcept = 0;
};

/// Packets that an output was given, and that are not yet, or will never be, where they should go. Any thread.
struct Delivery {
  std::atomic<uint64_t> waiting{0};
  std::atomic<uint64_t> lost{0};
};

/// An output that is not open yet.
struct Destination {
  std::string name;  // as messages show it
  /// Does not wait. Null: nobody is there to read it yet; ask again later.
  std::function<Result<std::unique_ptr<Output>>()> open;
  /// What was opened last is closed and complete; its first packet was captured at this Unix time in ns (below 0: it
  /// has none). Answers what it is called now. Null: it has its name already, and is the only one.
  std::function<Result<std::string>(int64_t begin_ns)> complete = {};
  /// Instead of complete(), for what has no packet since writing it failed: it is not there any more. Null: it stays.
  std::function<void()> discard = {};
  /// The file that was opened last, as it is called until then. Null: it is none.
  std::function<std::string()> path = {};
  /// Null: what was written has arrived.
  std::shared_ptr<const Delivery> delivery = {};
};

}  // namespace ringtap
