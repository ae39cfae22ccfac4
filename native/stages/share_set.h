// Sources that share a target's packets, owned by the process: readers come and go, and what nobody reads at the moment
// goes on to receive.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
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
  const std::string& method() const noexcept { return shares_.method; }
  ShareHash hash() const noexcept { return shares_.hash; }
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
  uint64_t orphans() const { return shares_.orphans ? shares_.orphans() : 0; }

  /// Everything ends. Readers that are still there find nothing more. Idempotent.
  void close() noexcept;

 private:
  class Reader;
  struct Member {
    std::unique_ptr<Source> source;
    mutable std::mutex mutex;  // guards calls of the source, and what follows
    bool attached = false;
    bool closed = false;
    Stats last;  // once it is closed
  };

  explicit ShareSet(Shares shares);
  Stats stats_of(const Member& member) const;
  static void close(Member& member) noexcept;

  Shares shares_;
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace ringtap
