// The sending side of a session, which its JS thread shares with threads that send for it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/tx.h"

namespace ringtap::addon {

class Sending {
 public:
  /// Why drain() came back; lib/native/native.ts has the same list.
  enum class Drained : uint8_t { kEmpty, kRoom, kNothingSent, kCancelled };

  /// `tx` must outlive close().
  explicit Sending(Tx* tx, std::string uri) : tx_(tx), uri_(std::move(uri)) {}

  /// Calls `use(Tx&)`, one at a time; an error once it was closed. Messages say where.
  template <class Use>
  auto with(const char* what, Use&& use) -> decltype(use(std::declval<Tx&>())) {
    const std::scoped_lock lock(mutex_);
    if (tx_ == nullptr) return closed(what);
    auto result = use(*tx_);
    if (!result) return at(std::move(result).error());
    return result;
  }

  TxStats stats() const;
  /// Whether a frame would be accepted now, without asking the kernel. Not once it was closed.
  Result<bool> has_room(const char* what);

  /// Sends what is queued, on this thread, until nothing is; with wants_room() until a frame has room. Ends at once
  /// when it is cancelled, and when nothing was sent for so long as patience() says. What waits sleeps in between.
  Result<Drained> drain();
  void wants_room(bool on) noexcept { wants_room_ = on; }
  void patience(std::chrono::milliseconds most) noexcept { patience_ms_ = most.count(); }
  void cancel(bool on) noexcept { cancelled_ = on; }

  /// Nobody uses it any more when this returns.
  void close();

 private:
  Error closed(const char* what) const;
  Error at(Error error) const;
  static bool has_room(Tx& tx);

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  Tx* tx_;
  const std::string uri_;
  TxStats last_;
  std::atomic<bool> wants_room_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<int64_t> patience_ms_{0};
};

}  // namespace ringtap::addon
