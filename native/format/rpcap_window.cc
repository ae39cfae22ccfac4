#include "format/rpcap_window.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace ringtap::rpcap {
namespace {

constexpr uint32_t kLeastPlaces = 16;
constexpr uint32_t kMostPlaces = 1 << 15;
/// A datagram goes out again so often, and no sooner than this after the last time.
constexpr uint8_t kMostTimes = 16;
constexpr uint64_t kAgainMs = 4;
/// What is missing may only have been overtaken: so long nobody is asked for it.
constexpr uint64_t kOvertakenMs = 3;
/// After the first time it is asked for again, twice as late each time.
constexpr uint64_t kAskAgainMs = 20;
constexpr uint64_t kMostAskAgainMs = 160;
/// So often in any case: time may pass while nobody reads, and so nobody asks.
constexpr uint8_t kLeastAsks = 3;
/// Further than this from the one before, a number is not believed at once: one that is forged would end all that
/// waits.
constexpr int32_t kNear = 1 << 16;

int32_t from_to(uint32_t from, uint32_t to) noexcept { return static_cast<int32_t>(to - from); }

}  // namespace

Places::Places(uint64_t bytes, uint32_t most) : most_(std::max(most, 1u)) {
  const uint64_t fit = std::clamp<uint64_t>(bytes / most_, kLeastPlaces, kMostPlaces);
  mask_ = std::bit_floor(static_cast<uint32_t>(fit)) - 1;
  memory_ = std::make_unique_for_overwrite<std::byte[]>(size_t{count()} * most_);
}

void SentWindow::keep(uint32_t number, std::span<const std::byte> datagram) noexcept {
  if (datagram.size() > places_.most()) return;
  std::copy(datagram.begin(), datagram.end(), places_.at(number));
  slots_[places_.index(number)] = {.bytes = static_cast<uint32_t>(datagram.size())};
  next_ = number + 1;
  if (next_ - oldest_ > places_.count()) oldest_ = next_ - places_.count();
}

bool SentWindow::acknowledge(uint32_t next) noexcept {
  if (from_to(acknowledged_, next) < 0 || from_to(next, next_) < 0) return false;
  acknowledged_ = next;
  if (from_to(oldest_, next) > 0) oldest_ = next;
  return true;
}

std::span<const std::byte> SentWindow::again(uint32_t number, uint64_t now_ms) noexcept {
  if (from_to(oldest_, number) < 0 || from_to(number, next_) <= 0) return {};
  Slot& slot = slots_[places_.index(number)];
  if (slot.times >= kMostTimes || (slot.times > 0 && now_ms - slot.sent_ms < kAgainMs)) return {};
  slot.times++;
  slot.sent_ms = now_ms;
  return {places_.at(number), slot.bytes};
}

ArrivedWindow::Took ArrivedWindow::take(uint32_t number, std::span<const std::byte> datagram,
                                        uint64_t now_ms) noexcept {
  const int32_t ahead = from_to(base_, number);
  if (ahead < -kNear || ahead > kNear) return take_jump(number);
  doubtful_.reset();
  if (ahead < 0) {
    counters_.late++;
    return Took::kNot;
  }
  if (datagram.size() > places_.most()) return Took::kNot;
  if (static_cast<uint32_t>(ahead) >= places_.count()) {
    // There is no place for it before others are given up. It is missing then, and may be asked for.
    want_from(number - places_.count() + 1);
    return Took::kNot;
  }
  if (from_to(end_, number) >= 0) {
    miss_until(number, now_ms);
    end_ = number + 1;
  } else if (slot(number).state == State::kMissing) {
    came(slot(number));
  } else {
    counters_.late++;
    return Took::kNot;
  }
  if (ahead == 0) {
    slot(number) = {};
    step();
    return Took::kNext;
  }
  std::copy(datagram.begin(), datagram.end(), places_.at(number));
  slot(number) = {.bytes = static_cast<uint32_t>(datagram.size()), .state = State::kKept};
  return Took::kKept;
}

/// Believed when the next one follows it; what was doubted is missing then.
ArrivedWindow::Took ArrivedWindow::take_jump(uint32_t number) noexcept {
  if (std::exchange(doubtful_, number) != number - 1) return Took::kNot;
  doubtful_.reset();
  want_from(number);
  return Took::kNot;
}

void ArrivedWindow::came(Slot& slot) noexcept {
  missing_--;
  if (slot.asks > 0) counters_.recovered++;
}

void ArrivedWindow::step() noexcept {
  base_++;
  want_from(base_);
}

void ArrivedWindow::want_from(uint32_t number) noexcept {
  if (from_to(wanted_, number) > 0) wanted_ = number;
}

/// All of those that are not known of yet are missing from now on, as far as there are places for them.
void ArrivedWindow::miss_until(uint32_t end, uint64_t now_ms) noexcept {
  for (; from_to(end_, end) > 0 && end_ - base_ < places_.count(); end_++) {
    slot(end_) = {.since_ms = now_ms, .state = State::kMissing};
    missing_++;
  }
}

std::optional<std::span<const std::byte>> ArrivedWindow::next(uint64_t now_ms) noexcept {
  while (base_ != end_) {
    Slot& first = slot(base_);
    if (first.state == State::kKept) {
      const std::span<const std::byte> datagram{places_.at(base_), first.bytes};
      first = {};
      step();
      return datagram;
    }
    const bool is_overdue = first.asks >= kLeastAsks && now_ms - first.since_ms >= patience_ms_;
    if (from_to(base_, wanted_) <= 0 && !is_overdue) return std::nullopt;
    first = {};
    missing_--;
    counters_.given_up++;
    step();
  }
  if (const int32_t skipped = from_to(base_, wanted_); skipped > 0) {
    counters_.given_up += static_cast<uint32_t>(skipped);
    base_ = end_ = wanted_;
  }
  return std::nullopt;
}

void ArrivedWindow::told(const Sent& sent, uint64_t now_ms) noexcept {
  if (from_to(sent.oldest, sent.next) < 0 || from_to(base_, sent.next) <= 0) return;
  want_from(sent.oldest);
  miss_until(sent.next, now_ms);
}

Ask ArrivedWindow::ask(uint64_t now_ms) noexcept {
  Ask ask{.next = base_};
  if (missing_ == 0) return ask;
  for (uint32_t number = base_; number != end_; number++) {
    Slot& one = slot(number);
    if (one.state != State::kMissing) continue;
    const uint64_t pause = std::min((kAskAgainMs << std::min<uint32_t>(one.asks, 8)) >> 1, kMostAskAgainMs);
    if (one.asks == 0 ? now_ms - one.since_ms < kOvertakenMs : now_ms - one.asked_ms < pause) continue;
    Range* last = ask.count == 0 ? nullptr : &ask.ranges[ask.count - 1];
    if (last != nullptr && last->first + last->count == number) {
      last->count++;
    } else {
      if (ask.count == kMostRanges) break;
      ask.ranges[ask.count++] = {.first = number, .count = 1};
    }
    if (one.asks < UINT8_MAX) one.asks++;
    one.asked_ms = now_ms;
    counters_.asked++;
  }
  return ask;
}

}  // namespace ringtap::rpcap
