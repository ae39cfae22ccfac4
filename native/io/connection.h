// A connection that somebody else has made: bytes come from it, or go to it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/unique_fd.h"
#include "io/input.h"

namespace ringtap {

/// A connected stream socket on its way from who made it to who reads or writes it, and what the one may have to tell
/// the other afterwards: where bytes are decrypted on the way, only who does that knows why they end. Any thread.
class Connection {
 public:
  explicit Connection(UniqueFd socket) : socket_(std::move(socket)) {}

  /// Its socket, once: whoever takes it closes it.
  UniqueFd take() noexcept {
    const std::scoped_lock lock(mutex_);
    return std::move(socket_);
  }

  /// It has ended, or is about to, because of this: what came before is still delivered.
  void end(Error why) {
    const std::scoped_lock lock(mutex_);
    if (!why_) why_ = std::move(why);
  }
  /// What comes behind so many of its bytes is another trace, because whoever sent the one before has come back.
  void cut(uint64_t at) {
    const std::scoped_lock lock(mutex_);
    cuts_.push_back(at);
  }
  std::optional<uint64_t> next_cut() const {
    const std::scoped_lock lock(mutex_);
    return cuts_.empty() ? std::nullopt : std::optional(cuts_.front());
  }
  void pass_cut() {
    const std::scoped_lock lock(mutex_);
    if (!cuts_.empty()) cuts_.pop_front();
  }
  std::optional<Error> why() const {
    const std::scoped_lock lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  UniqueFd socket_;
  std::optional<Error> why_;
  std::deque<uint64_t> cuts_;
};

/// Reads what comes. Where it ends because of something, reading fails with that. RINGTAP_CLOSED where its socket was
/// taken by somebody else.
Result<std::unique_ptr<Input>> connection_input(std::shared_ptr<Connection> connection);

}  // namespace ringtap
