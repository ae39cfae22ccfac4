// A connection that somebody else has made: bytes come from it, or go to it.
#pragma once

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
  std::optional<Error> why() const {
    const std::scoped_lock lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  UniqueFd socket_;
  std::optional<Error> why_;
};

/// Reads what comes. Where it ends because of something, reading fails with that. RINGTAP_CLOSED where its socket was
/// taken by somebody else.
Result<std::unique_ptr<Input>> connection_input(std::shared_ptr<Connection> connection);

}  // namespace ringtap
