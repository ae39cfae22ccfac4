#include "addon/sending.h"

#include <algorithm>

namespace ringtap::addon {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds kShortestNap = 10us;
constexpr std::chrono::microseconds kLongestNap = 1ms;

}  // namespace

Error Sending::closed(const char* what) const {
  return at({.code = Code::kClosed, .message = std::string(what) + ": the capture was closed"});
}

/// The sending side of a method does not know what it was opened as.
Error Sending::at(Error error) const {
  error.message = uri_ + ": " + error.message;
  return error;
}

TxStats Sending::stats() const {
  const std::scoped_lock lock(mutex_);
  return tx_ != nullptr ? tx_->stats() : last_;
}

bool Sending::has_room(Tx& tx) {
  const bool is_room = !tx.reserve().empty();
  if (is_room) tx.cancel();
  return is_room;
}

Result<bool> Sending::has_room(const char* what) {
  return with(what, [](Tx& tx) -> Result<bool> { return has_room(tx); });
}

Result<Sending::Drained> Sending::drain() {
  uint64_t sent = 0;
  auto since = Clock::now();
  auto nap = kShortestNap;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (tx_ == nullptr) return closed("flush()");
    if (cancelled_) return Drained::kCancelled;
    if (auto flushed = tx_->flush(); !flushed) return at(std::move(flushed).error());
    const TxStats stats = tx_->stats();
    if (stats.queued == 0) return Drained::kEmpty;
    if (wants_room_ && has_room(*tx_)) return Drained::kRoom;
    const auto now = Clock::now();
    const uint64_t done = stats.completed + stats.all_failed();
    if (done != sent) {
      sent = done;
      since = now;
      nap = kShortestNap;
    } else if (const int64_t most = patience_ms_; most > 0 && now - since >= std::chrono::milliseconds(most)) {
      return Drained::kNothingSent;
    }
    ended_.wait_for(lock, nap);
    nap = std::min(nap * 2, kLongestNap);
  }
}

void Sending::close() {
  const std::scoped_lock lock(mutex_);
  if (tx_ != nullptr) last_ = tx_->stats();
  tx_ = nullptr;
  ended_.notify_all();
}

}  // namespace ringtap::addon
