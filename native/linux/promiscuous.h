// Frames addressed to others.
#pragma once

#include <span>
#include <vector>

#include "core/unique_fd.h"

namespace ringtap {

/// Keeps interfaces in promiscuous mode for as long as it lives. Every holder counts: the last one ends it.
class Promiscuous {
 public:
  Promiscuous() = default;
  Promiscuous(Promiscuous&& other) noexcept;
  Promiscuous& operator=(Promiscuous&& other) noexcept;
  ~Promiscuous() { leave(); }

  /// With a socket of its own. Returns errno, 0 on success; then all of them are in it, else none.
  int enter(std::span<const int> interfaces) noexcept;
  /// With `fd`, a packet socket that stays open until leave(). Returns errno, 0 on success.
  int enter(int fd, int interface) noexcept;
  void leave() noexcept;

 private:
  UniqueFd own_;
  int fd_ = -1;
  int interface_ = 0;  // of a socket that is not ours
};

}  // namespace ringtap
