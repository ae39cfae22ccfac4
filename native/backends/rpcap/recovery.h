// Datagrams that were lost on their way are asked for, where that was agreed on with the daemon.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "core/remote.h"
#include "core/unique_fd.h"
#include "format/rpcap_window.h"
#include "io/address.h"

namespace ringtap::rpcap {

class Recovery {
 public:
  /// `bytes`: what those that wait for others may take; `patience`: how long they wait.
  Recovery(uint64_t bytes, std::chrono::milliseconds patience, const RemoteAgreement& agreed, UniqueFd timer)
      : window_(bytes, agreed.datagram_bytes, static_cast<uint32_t>(patience.count())),
        token_(agreed.token),
        timer_(std::move(timer)) {}

  /// Whether a datagram is to be read now: it is neither somebody's message to us, nor one whose turn has yet to come.
  bool take(std::span<const std::byte> datagram, const Address& from) noexcept;
  /// The next one whose turn has come. Valid until the next take().
  std::optional<std::span<const std::byte>> next() noexcept { return window_.next(now_ms_); }
  /// Asks for what is missing, if it is time to; looks at the clock.
  void attend(int socket) noexcept;
  /// Some that have come wait for what has not.
  bool is_waiting() const noexcept { return window_.is_missing_any(); }
  /// Nothing comes any more: what is missing is given up. Whether others waited for it.
  bool give_up() noexcept { return window_.give_up(); }

  /// Readable when attend() has something to do.
  int timer() const noexcept { return timer_.get(); }
  const ArrivedWindow::Counters& counters() const noexcept { return window_.counters(); }

 private:
  void say(int socket, const Ask& ask) noexcept;
  void wake_in(uint64_t ms) noexcept;

  ArrivedWindow window_;
  const Token token_;
  UniqueFd timer_;
  std::optional<Address> daemon_;
  uint64_t now_ms_ = 0;
  uint64_t said_ms_ = 0;
  uint32_t said_ = 0;  // up to where we need nothing
  bool is_asked_ = false;
  uint64_t wakes_in_ms_ = 0;
};

}  // namespace ringtap::rpcap
