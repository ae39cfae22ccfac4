// Frames carry numbers: what came late, and what came twice. bench/readers/numbers.mjs does the same in JS.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace peer {

/// Numbers that are left out are no loss by themselves: a generator may use up one without sending it.
class Numbers {
 public:
  struct Result {
    uint64_t reordered = 0;   // came after a greater number
    uint64_t duplicates = 0;  // came before
  };

  void see(uint32_t number) {
    if (number == next_) {
      next_++;
    } else {
      surprise(number);
    }
  }

  Result result() const {
    Result result;
    std::set<uint32_t> filled;
    for (const uint32_t number : late_) {
      // The last gap that begins at or before it.
      auto gap = std::upper_bound(gaps_.begin(), gaps_.end(), std::pair(number, UINT32_MAX));
      const bool was_missing = gap != gaps_.begin() && number < (--gap)->second;
      if (was_missing && filled.insert(number).second) {
        result.reordered++;
      } else {
        result.duplicates++;
      }
    }
    return result;
  }

 private:
  __attribute__((noinline)) void surprise(uint32_t number) {
    if (number < next_) {
      late_.push_back(number);
    } else {
      gaps_.emplace_back(next_, number);
      next_ = number + 1;
    }
  }

  uint32_t next_ = 0;
  std::vector<std::pair<uint32_t, uint32_t>> gaps_;  // [first missing, first present), ascending
  std::vector<uint32_t> late_;
};

}  // namespace peer
