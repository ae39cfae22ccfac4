// Where bytes come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/error.h"
#include "core/region.h"
#include "core/source.h"

namespace ringtap {

/// Bytes that arrive one after the other. Never makes its caller wait, whatever is behind it: what may wait is done by
/// a thread. A new kind is a file beside file_input.cc.
class Input {
 public:
  static constexpr int64_t kNothingYet = -1;
  static constexpr int64_t kFailed = -2;
  static constexpr int64_t kAnother = -3;  // what comes next is another trace, from its beginning

  virtual ~Input() = default;

  /// Bytes read, 0 at the end, kNothingYet, kFailed or kAnother. After kNothingYet these bytes may be written at any
  /// time until a read has another result: ask for the same again. `owner` keeps them until then.
  virtual int64_t read(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept = 0;

  /// A read that is not done yet knows where it reads to.
  virtual bool reading() const noexcept = 0;

  /// Waits until there may be something to read. False when time is up.
  virtual bool wait(int timeout_ms) const noexcept = 0;
  /// How a Source that reads from it is waited for.
  virtual Readiness readiness() const noexcept = 0;
  /// Could read() find something? Any thread.
  virtual bool pending() const noexcept = 0;

  /// Whether it comes as somebody else sends it, and may have nothing to say for long; else it is all there.
  virtual bool stream() const noexcept = 0;

  /// How it is compressed, where positions are those of what was decompressed; empty: it is not. After the first read.
  virtual std::string_view compression() const noexcept { return {}; }

  /// How many bytes of a trace were left out before those that were read last.
  virtual uint64_t left_out() const noexcept { return 0; }

  /// Goes on there, while no read goes on. False: it cannot.
  virtual bool seek([[maybe_unused]] uint64_t at) noexcept { return false; }

  /// What a failed read at this byte failed with; right after it.
  virtual Error failure(uint64_t at) const = 0;

  /// Lets go of what is behind it, without waiting for a read that goes on.
  virtual void close() noexcept = 0;
};

}  // namespace ringtap
