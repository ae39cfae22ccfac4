// The bytes that one end of a TCP connection has sent, in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "protocol/reader.h"

namespace ringtap::protocol {

/// Memory that all flows share: what is taken is given back.
class Budget {
 public:
  explicit Budget(size_t most) noexcept : most_(most) {}
  bool take(size_t bytes) noexcept {
    if (bytes > most_ - used_) return false;
    used_ += bytes;
    return true;
  }
  void give(size_t bytes) noexcept { used_ -= std::min(bytes, used_); }
  size_t used() const noexcept { return used_; }

 private:
  size_t most_;
  size_t used_ = 0;
};

/// Segments in, bytes out: without a copy while they come in order. What comes early waits, as much as the limits
/// allow; of bytes that come twice the first ones count; what never came is told as a gap. Times play no part.
class Stream {
 public:
  static constexpr size_t kMostHeld = 256 << 10;
  static constexpr size_t kMostPieces = 64;
  /// What is further ahead belongs to nothing that is known, unless the next one goes on there.
  static constexpr uint32_t kWindow = 16 << 20;

  struct Piece {
    uint32_t sequence;
    uint32_t length;  // may be more than its bytes: the rest was not captured
    std::vector<std::byte> bytes;
  };

  /// SYN: the number before the first byte.
  void begin(uint32_t sequence) noexcept {
    if (!has_begun_ || delivered_ == 0) next_ = sequence + 1;
    has_begun_ = true;
  }
  /// FIN: where the last byte ends.
  void end(uint32_t sequence) noexcept {
    end_ = sequence;
    has_end_ = true;
  }
  bool is_at_end() const noexcept { return has_end_ && has_begun_ && next_ == end_; }
  bool has_begun() const noexcept { return has_begun_; }
  bool is_waiting() const noexcept { return !pieces_.empty(); }
  size_t held() const noexcept { return held_; }

  /// @param length on the wire: more than `bytes` where the segment was cut
  /// @param out has bytes(Span), valid during the call, and gap(uint64_t)
  template <class Out>
  void add(uint32_t sequence, Span bytes, uint32_t length, Budget& budget, Out& out) {
    if (!has_begun_) {
      has_begun_ = true;
      next_ = sequence;
    }
    while (length > 0) {
      const auto ahead = static_cast<int32_t>(sequence - next_);
      if (ahead < 0) {
        const uint32_t old = uint32_t{0} - static_cast<uint32_t>(ahead);
        if (old >= length) return;
        cut_front(sequence, bytes, length, old);
        continue;
      }
      if (ahead == 0) {
        const uint32_t room = pieces_.empty() ? length : std::min(length, pieces_.front().sequence - next_);
        deliver(bytes.first(std::min<size_t>(bytes.size(), room)), room, out);
        cut_front(sequence, bytes, length, room);
        release(budget, out);
        continue;
      }
      if (static_cast<uint32_t>(ahead) > kWindow && !resume(sequence, length, budget, out)) return;
      if (sequence != next_) {
        hold(sequence, bytes, length, budget);
        while (held_ > kMostHeld || pieces_.size() > kMostPieces) pass_gap(budget, out);
        return;
      }
    }
  }

  /// The other end has everything before `sequence`: what is missing here was lost in the capture.
  template <class Out>
  void acknowledged(uint32_t sequence, Budget& budget, Out& out) {
    while (!pieces_.empty() && static_cast<int32_t>(sequence - pieces_.front().sequence) > 0) pass_gap(budget, out);
  }

  /// Nothing is to come: gives what waits.
  template <class Out>
  void flush(Budget& budget, Out& out) {
    while (!pieces_.empty()) pass_gap(budget, out);
  }

  void drop(Budget& budget) noexcept {
    budget.give(held_);
    held_ = 0;
    pieces_.clear();
  }

 private:
  static void cut_front(uint32_t& sequence, Span& bytes, uint32_t& length, uint32_t count) noexcept {
    sequence += count;
    length -= count;
    bytes = bytes.subspan(std::min<size_t>(bytes.size(), count));
  }

  template <class Out>
  void deliver(Span bytes, uint32_t length, Out& out) {
    next_ += length;
    delivered_ += length;
    if (!bytes.empty()) out.bytes(bytes);
    if (bytes.size() < length) out.gap(length - bytes.size());
  }

  template <class Out>
  void release(Budget& budget, Out& out) {
    size_t done = 0;
    while (done < pieces_.size() && pieces_[done].sequence == next_) {
      const Piece& piece = pieces_[done++];
      held_ -= piece.bytes.size();
      budget.give(piece.bytes.size());
      deliver(piece.bytes, piece.length, out);
    }
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(done));
  }

  template <class Out>
  void pass_gap(Budget& budget, Out& out) {
    const uint32_t missing = pieces_.front().sequence - next_;
    next_ += missing;
    out.gap(missing);
    release(budget, out);
  }

  /// True: two segments in a row lie there, so that is where the connection is now.
  template <class Out>
  bool resume(uint32_t sequence, uint32_t length, Budget& budget, Out& out) {
    const bool goes_on = has_far_ && sequence == far_;
    has_far_ = !goes_on;
    far_ = sequence + length;
    if (!goes_on) return false;
    flush(budget, out);
    const auto missing = static_cast<int32_t>(sequence - next_);
    if (missing <= 0) return true;
    next_ = sequence;
    out.gap(static_cast<uint32_t>(missing));
    return true;
  }

  /// Puts in what is not there yet: what came first stays.
  void hold(uint32_t sequence, Span bytes, uint32_t length, Budget& budget) {
    size_t i = 0;
    while (length > 0) {
      while (i < pieces_.size() && is_behind(pieces_[i].sequence + pieces_[i].length, sequence)) i++;
      uint32_t room = length;
      if (i < pieces_.size()) {
        const auto before = static_cast<int32_t>(pieces_[i].sequence - sequence);
        room = before > 0 ? std::min(length, static_cast<uint32_t>(before)) : 0;
      }
      if (room > 0) {
        const Span kept = bytes.first(std::min<size_t>(bytes.size(), room));
        if (!budget.take(kept.size())) return;  // it will be a gap
        held_ += kept.size();
        pieces_.insert(pieces_.begin() + static_cast<ptrdiff_t>(i), {sequence, room, {kept.begin(), kept.end()}});
        i++;
        cut_front(sequence, bytes, length, room);
      }
      if (length == 0) return;
      if (i == pieces_.size()) continue;
      const uint32_t covered = pieces_[i].sequence + pieces_[i].length - sequence;
      if (covered >= length) return;
      cut_front(sequence, bytes, length, covered);
    }
  }
  static bool is_behind(uint32_t end, uint32_t sequence) noexcept { return static_cast<int32_t>(end - sequence) <= 0; }

  std::vector<Piece> pieces_;  // in order, none touches next_
  size_t held_ = 0;
  uint64_t delivered_ = 0;
  uint32_t next_ = 0;
  uint32_t end_ = 0;
  uint32_t far_ = 0;
  bool has_begun_ = false;
  bool has_end_ = false;
  bool has_far_ = false;
};

}  // namespace ringtap::protocol
