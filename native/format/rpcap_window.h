// Datagrams of udpstr that may be needed again, or whose turn has not come: both ends of a window over their numbers,
// in memory of a fixed size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "format/rpcap_ask.h"

namespace ringtap::rpcap {

/// A place for each datagram of the window, by its number.
class Places {
 public:
  /// In memory of `bytes` at most, but of 16 datagrams in any case; `most`: how long a datagram is.
  Places(uint64_t bytes, uint32_t most);

  uint32_t count() const noexcept { return mask_ + 1; }
  uint32_t most() const noexcept { return most_; }
  uint32_t index(uint32_t number) const noexcept { return number & mask_; }
  std::byte* at(uint32_t number) noexcept { return memory_.get() + size_t{index(number)} * most_; }

 private:
  uint32_t most_;
  uint32_t mask_;
  // WHY not zeroed: what is not needed is not touched, and takes no memory.
  std::unique_ptr<std::byte[]> memory_;
};

/// At the daemon: the last that were sent.
class SentWindow {
 public:
  SentWindow(uint64_t bytes, uint32_t most) : places_(bytes, most), slots_(places_.count()) {}

  /// It was sent: numbers come one after the other.
  void keep(uint32_t number, std::span<const std::byte> datagram) noexcept;
  /// The client waits for nothing before this one. False: that cannot be.
  bool acknowledge(uint32_t next) noexcept;
  /// To be sent once more. Empty where it is not there any more, or was not yet, or was sent a moment ago or too often:
  /// who asks without end gets no more than a few times what he gets anyway. Valid until the next keep().
  std::span<const std::byte> again(uint32_t number, uint64_t now_ms) noexcept;

  Sent state() const noexcept { return {.next = next_, .oldest = oldest_}; }
  bool is_acknowledged() const noexcept { return acknowledged_ == next_; }

 private:
  struct Slot {
    uint64_t sent_ms = 0;
    uint32_t bytes = 0;
    uint8_t times = 0;
  };
  Places places_;
  std::vector<Slot> slots_;
  uint32_t next_ = 0;
  uint32_t oldest_ = 0;
  uint32_t acknowledged_ = 0;
};

/// At the client: those that came before their turn, and which are missing.
class ArrivedWindow {
 public:
  struct Counters {
    uint64_t recovered = 0;  // were asked for, and came
    uint64_t given_up = 0;   // were missing for too long, are not to be had any more, or too many at once
    uint64_t asked = 0;      // times that one was asked for
    uint64_t late = 0;       // nobody waited for them: they came twice, or after they were given up
  };
  enum class Took : uint8_t {
    kNext,  // it is its turn: read it where it is
    kKept,  // it will be given by next()
    kNot,
  };

  ArrivedWindow(uint64_t bytes, uint32_t most, uint32_t patience_ms)
      : places_(bytes, most), slots_(places_.count()), patience_ms_(patience_ms) {}

  /// What next() has to give was taken before.
  Took take(uint32_t number, std::span<const std::byte> datagram, uint64_t now_ms) noexcept;
  /// The next one of those that were kept, and passes over what is given up. Valid until the next take().
  std::optional<std::span<const std::byte>> next(uint64_t now_ms) noexcept;
  /// What the daemon says of itself.
  void told(const Sent& sent, uint64_t now_ms) noexcept;
  /// What is to be asked for now; and then not again for a while.
  Ask ask(uint64_t now_ms) noexcept;

  /// What is missing is given up. Whether there are others for next() to give.
  bool give_up() noexcept {
    want_from(end_);
    return base_ != end_;
  }

  /// Nothing before this one is waited for.
  uint32_t base() const noexcept { return base_; }
  bool is_missing_any() const noexcept { return missing_ > 0; }
  const Counters& counters() const noexcept { return counters_; }

 private:
  enum class State : uint8_t { kNone, kMissing, kKept };
  struct Slot {
    uint64_t since_ms = 0;  // of one that is missing
    uint64_t asked_ms = 0;
    uint32_t bytes = 0;
    State state = State::kNone;
    uint8_t asks = 0;
  };

  Slot& slot(uint32_t number) noexcept { return slots_[places_.index(number)]; }
  void miss_until(uint32_t end, uint64_t now_ms) noexcept;
  void came(Slot& slot) noexcept;
  void step() noexcept;
  void want_from(uint32_t number) noexcept;
  Took take_jump(uint32_t number) noexcept;

  Places places_;
  std::vector<Slot> slots_;
  const uint64_t patience_ms_;
  uint32_t base_ = 0;    // the next in turn
  uint32_t end_ = 0;     // behind the last that is known of
  uint32_t wanted_ = 0;  // what is missing before this one is given up
  uint32_t missing_ = 0;
  std::optional<uint32_t> doubtful_;
  Counters counters_;
};

}  // namespace ringtap::rpcap
