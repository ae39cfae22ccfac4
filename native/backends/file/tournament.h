// Whose turn is next among many, by time: a tree of matches, in which only those of the last winner are played again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ringtap::file {

/// Players are numbered from 0 on; of equal keys that of the lowest number comes first.
class Tournament {
 public:
  /// Begins anew with these keys, one at least.
  void begin(const std::vector<int64_t>& keys) {
    size_ = keys.size();
    losers_.resize(size_);
    // Matches are in [1, size) as in a heap, and player i stands at size + i, below all of them.
    std::vector<Entry> winners(2 * size_);
    for (size_t i = 0; i < size_; i++) winners[size_ + i] = {.key = keys[i], .player = static_cast<uint32_t>(i)};
    for (size_t match = size_ - 1; match > 0; match--) {
      Entry a = winners[2 * match];
      Entry b = winners[2 * match + 1];
      if (is_before(b, a)) std::swap(a, b);
      winners[match] = a;
      losers_[match] = b;
    }
    winner_ = winners[1];
  }

  uint32_t winner() const noexcept { return winner_.player; }

  /// The winner has another key. WHY without branches: whose turn it is next nobody can guess.
  void replay(int64_t key) noexcept {
    Entry ours{.key = key, .player = winner_.player};
    for (size_t match = (size_ + ours.player) / 2; match > 0; match /= 2) {
      Entry& theirs = losers_[match];
      const Entry a = ours;
      const Entry b = theirs;
      const bool lost = is_before(b, a);
      ours.key = lost ? b.key : a.key;
      ours.player = lost ? b.player : a.player;
      theirs.key = lost ? a.key : b.key;
      theirs.player = lost ? a.player : b.player;
    }
    winner_ = ours;
  }

 private:
  struct Entry {
    int64_t key = 0;
    uint32_t player = 0;
  };
  static bool is_before(const Entry& a, const Entry& b) noexcept {
    return static_cast<bool>(static_cast<int>(a.key < b.key) |
                             (static_cast<int>(a.key == b.key) & static_cast<int>(a.player < b.player)));
  }

  size_t size_ = 0;
  std::vector<Entry> losers_;  // of each match
  Entry winner_;
};

}  // namespace ringtap::file
