// Tells when something changes in a folder, or in the files in it.
#pragma once

#include <string>

#include "io/descriptor.h"

namespace ringtap {

/// By inotify, where the system has it and it watches this folder; else whoever waits looks often. Any thread.
class FolderWatch {
 public:
  explicit FolderWatch(const std::string& folder);

  /// A descriptor that is readable once something has changed; -1: nobody tells.
  int fd() const noexcept { return events_.get(); }
  /// Forgets what has changed. Look only after it, so that nothing is missed.
  void reset() const noexcept;
  /// How long to wait before looking without having been told.
  int patience_ms() const noexcept { return events_.get() >= 0 ? kTold : kUntold; }
  /// Waits for a change, but no longer than that nor than so long.
  void wait(int most_ms) const noexcept;

 private:
  // WHY at all, where inotify tells: what another host writes to a shared file system it does not tell of.
  static constexpr int kTold = 1000;
  static constexpr int kUntold = 100;

  Descriptor events_;
};

}  // namespace ringtap
