// Traces that are being written, one after the other: what `tail -F` makes of them.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "io/folder_watch.h"
#include "io/tail.h"

namespace ringtap::file {

/// Whether it may go on behind its end; a pipe has none before its writer is gone.
bool can_be_followed(const std::string& target);

/// The files that a target names, now and later: a path, a pattern (`*`, `?`, `[…]`, or strftime's `%`), or a folder.
/// Each of them also as it is called until it is complete, `NAME.part`. Any thread.
///
/// They are read in the order in which they were written to last. A file is complete once there is another one that
/// was not read, or when it was cut; one whose beginning is another one than when it was read is a new one, whatever
/// its name is.
class Followed {
 public:
  explicit Followed(const std::string& target);

  /// What tells a file from all others.
  struct Identity {
    uint64_t device = 0;
    uint64_t number = 0;
    auto operator<=>(const Identity&) const = default;
  };
  struct Found {
    std::string path;
    Identity identity;
    int64_t bytes = 0;
    int64_t changed_ns = 0;
  };

  /// Where to look for files: it has to be there.
  const std::string& folder() const noexcept { return folder_; }
  /// Whether whatever the target does not name itself may be no trace.
  bool is_search() const noexcept { return is_search_; }

  /// The file whose turn it is; nothing: there is none yet.
  std::optional<Found> next() const;
  bool has_other_than(const Identity& current) const;

  /// A file as it is now, open as `fd`: not to be read again unless it begins anew. `head`: of when it was opened.
  struct Head {
    uint32_t bytes = 0;
    uint64_t hash = 0;
  };
  static Head head_of(int fd, uint32_t most);
  void is_done(int fd, const Head& head);
  void is_done(const Found& found);

  const FolderWatch& watch() const noexcept { return watch_; }

 private:
  struct Done {
    int64_t bytes = 0;
    int64_t changed_ns = 0;
    Head head;
  };
  std::vector<Found> unread() const;
  bool begins_anew(const Found& found, const Done& done) const;

  bool is_search_ = false;
  std::string folder_;
  std::vector<std::string> patterns_;
  FolderWatch watch_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<Identity, Done> done_;
};

/// The end of one of them.
class FollowedTail final : public Tail {
 public:
  explicit FollowedTail(std::shared_ptr<Followed> files) : files_(std::move(files)) {}

  Next at_end(int fd) noexcept override;
  int changes() const noexcept override { return files_->watch().fd(); }
  int patience_ms() const noexcept override { return files_->watch().patience_ms(); }

 private:
  Next decide(int fd);

  const std::shared_ptr<Followed> files_;
  std::optional<Followed::Head> head_;  // as of its first end
  bool is_last_ = false;                // another one was there before it was read to its end
};

}  // namespace ringtap::file
