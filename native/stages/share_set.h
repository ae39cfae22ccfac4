// Sources that share a target's packets, owned by the process: readers come and go, and what nobody reads at the moment
// goes on to receive.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/sharing.h"
#include "core/source.h"

namespace ringtap {

class ShareSet : public std::enable_shared_from_this<ShareSet> {
 public:
  /// Of sources that were opened, and not started.
  static std::shared_ptr<ShareSet> make(Shares shares);
  ~ShareSet() { close(); }
  ShareSet(const ShareSet&) = delete;
  ShareSet& operator=(const ShareSet&) = delete;

  // Any thread, all of these.

  uint32_t size() const noexcept { return static_cast<uint32_t>(members_.size()); }
  const std::string& method() const noexcept { return method_; }
  ShareHash hash() const noexcept { return hash_; }
  SourceInfo info(uint32_t share) const;

  /// From here on packets arrive. When it fails the set is of no more use.
  Result<Ok> start();

  /// The share's reader: its close() leaves the share open, for another one to go on where it was. One at a time.
  /// Errors: BUSY, CLOSED.
  Result<std::unique_ptr<Source>> attach(uint32_t share);

  /// Nobody will read it any more: what is for it is lost, and counted, and others do not wait for it.
  void give_up(uint32_t share) noexcept;

  /// What became of the packets of one share; and of all, those included that were not dealt out yet.
  Stats stats(uint32_t share) const;
  Stats total() const;
  uint64_t orphans() const;

  /// Everything ends. Readers that are still there find nothing more. Idempotent.
  void close() noexcept;

 private:
  class Reader;
  struct Member {
    mutable std::mutex mutex;        // guards calls of the source, and what follows
    std::unique_ptr<Source> source;  // null once the set is closed, and nobody reads it any more
    bool attached = false;
    bool closed = false;
    bool orphaned = false;  // the set is closed, and a reader is still there
    Stats last;             // once it is closed
  };

  explicit ShareSet(Shares shares);
  Stats stats_of(const Member& member) const;
  static void close(Member& member) noexcept;

  const std::string method_;
  const ShareHash hash_;
  const bool dealt_;                         // by a thread of ours
  mutable std::mutex mutex_;                 // guards what follows; taken after a member's
  std::function<uint64_t()> count_orphans_;  // null once it is closed
  std::function<Stats()> before_;
  uint64_t orphans_ = 0;
  Stats last_before_;
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace ringtap
