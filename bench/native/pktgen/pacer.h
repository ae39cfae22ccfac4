// Spreads frames evenly over time.
#pragma once

#include <cstdint>

namespace pktgen {

class Pacer {
 public:
  /// Frames per second; 0 is flat out.
  explicit Pacer(double rate);

  /// Starts the clock.
  void start();

  /// How many frames may go now, when `sent` went since start(). Sleeps (never over 100 ms, so that a signal is
  /// noticed) while none is due; may then still answer 0.
  uint64_t allowance(uint64_t sent);

  /// Since start().
  double seconds() const;

 private:
  double rate_;
  int64_t start_ns_ = 0;  // when start() was called
  int64_t base_ns_ = 0;   // the clock that frames are due on: later than start_ns_ once time was lost
};

}  // namespace pktgen
