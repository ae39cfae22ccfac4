#include "backends/rpcap/recovery.h"

#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>

#include "core/byte_order.h"
#include "format/rpcap_wire.h"

namespace ringtap::rpcap {
namespace {

/// How often we look for what to ask for, and say how far we are.
constexpr uint64_t kLookMs = 4;
constexpr uint64_t kSayMs = 20;

uint64_t clock_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace

bool Recovery::take(std::span<const std::byte> datagram, const Address& from) noexcept {
  if (const auto sent = read_sent(datagram, token_)) {
    daemon_ = from;
    is_asked_ = true;
    window_.told(*sent, now_ms_);
    return false;
  }
  const bool is_numbered = datagram.size() > kStretchBytes && load_big<uint16_t>(datagram.data()) == kStretchType;
  if (!is_numbered) return true;
  if (!daemon_) daemon_ = from;
  return window_.take(load_big<uint32_t>(&datagram[4]), datagram, now_ms_) == ArrivedWindow::Took::kNext;
}

void Recovery::attend(int socket) noexcept {
  if (const uint64_t now = clock_ms(); now != now_ms_) {
    now_ms_ = now;
    const Ask ask = window_.ask(now);
    const bool is_behind = said_ != ask.next && now - said_ms_ >= kSayMs;
    if (ask.count > 0 || is_asked_ || is_behind) say(socket, ask);
  }
  wake_in(window_.is_missing_any() ? kLookMs : said_ != window_.base() ? kSayMs : 0);
}

void Recovery::say(int socket, const Ask& ask) noexcept {
  if (!daemon_) return;
  std::array<std::byte, kMostAskBytes> memory;
  const auto bytes = put_ask(ask, token_, memory);
  // What does not go out is said again.
  sendto(socket, bytes.data(), bytes.size(), MSG_DONTWAIT, daemon_->get(), daemon_->bytes);
  said_ms_ = now_ms_;
  said_ = ask.next;
  is_asked_ = false;
}

/// 0: never. WHY it is not set while it runs: each time would be a system call.
void Recovery::wake_in(uint64_t ms) noexcept {
  uint64_t expired = 0;
  const bool is_over = wakes_in_ms_ != 0 && read(timer_.get(), &expired, sizeof expired) > 0;
  if (is_over) wakes_in_ms_ = 0;
  if (ms == 0 ? wakes_in_ms_ == 0 : wakes_in_ms_ != 0 && wakes_in_ms_ <= ms) return;
  const itimerspec when{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = static_cast<long>(ms) * 1'000'000}};
  timerfd_settime(timer_.get(), 0, &when, nullptr);
  wakes_in_ms_ = ms;
}

}  // namespace ringtap::rpcap
