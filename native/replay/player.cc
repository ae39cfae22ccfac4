#include "replay/player.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <string>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "core/thread.h"

namespace ringtap::replay {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kChunk = size_t{4} << 20;
constexpr uint32_t kTogether = 64;
/// A sleep ends so much too late at times, and the rest is spun.
constexpr int64_t kSpinNs = 60'000;
constexpr int64_t kShortestNapNs = 10'000;
constexpr int64_t kLongestNapNs = 1'000'000;
/// With `shifts`: delays beyond this move what is to come.
constexpr int64_t kShiftNs = 1'000'000;
constexpr int64_t kPatienceNs = 1'000'000'000;

int64_t now_ns() noexcept { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); }

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Player::Player(Settings settings, std::vector<Way> ways)
    : settings_(std::move(settings)), sides_(settings_.sides), ways_(std::move(ways)) {}

std::byte* Player::room(size_t bytes) {
  if (bytes > chunk_left_) {
    const size_t chunk = std::max(bytes, kChunk);
    chunks_.push_back(std::make_unique<std::byte[]>(chunk));
    chunk_left_ = chunk;
  }
  return chunks_.back().get() + (std::max(bytes, kChunk) - chunk_left_);
}

Result<bool> Player::add(std::span<const std::byte> frame, uint32_t wirelen, int64_t time_ns) try {
  progress_.read++;
  if (!first_ns_) first_ns_ = latest_ns_ = time_ns;
  if (time_ns < latest_ns_) progress_.backwards++;
  latest_ns_ = std::max(latest_ns_, time_ns);

  const uint32_t way = ways_.size() > 1 && !sides_.is_client(frame, wirelen) ? 1 : 0;
  const TxLimits& limits = ways_[way].limits;
  std::vector<std::byte> room_for(rewrite::kHeadroom + frame.size());
  std::copy(frame.begin(), frame.end(), room_for.begin() + rewrite::kHeadroom);
  std::span<std::byte> edited = std::span(room_for).subspan(rewrite::kHeadroom);
  const rewrite::Edits& edits = settings_.edits[way];
  if (!edits.empty()) edited = rewrite::apply(edits, room_for, wirelen);

  const auto refused = limits.refuses(edited);
  if (refused == TxFailure::kTooShort) {
    progress_.skipped++;
    return false;
  }
  if (refused == TxFailure::kTooLong) {
    const uint32_t longest = limits.longest(edited);
    if (settings_.oversize == Oversize::kRefuse) {
      return Error{.code = Code::kUnsupported,
                   .message = "packet " + std::to_string(progress_.read) + " has " + std::to_string(edited.size()) +
                              " bytes, and the interface takes " + std::to_string(longest) + ": nothing was sent",
                   .hint = "Skip or truncate such packets (oversize: 'skip', --oversize skip), or raise the MTU."};
    }
    if (settings_.oversize == Oversize::kSkip) {
      progress_.skipped++;
      return false;
    }
    progress_.truncated++;
    edited = edited.first(longest);
  } else if (frame.size() < wirelen) {
    progress_.cut++;
  }
  memory_ += edited.size() + sizeof(Frame) + sizeof(uint64_t);
  if (memory_ > settings_.memory_bytes) {
    return Error{.code = Code::kNoMemory,
                 .message = "the trace does not fit into " + std::to_string(settings_.memory_bytes) +
                            " bytes of memory, which it is played from",
                 .hint = "Take a part of it (from, to, filter, count), or allow more (memoryBytes, --memory)."};
  }
  std::byte* at = room(edited.size());
  chunk_left_ -= edited.size();
  std::copy(edited.begin(), edited.end(), at);
  bytes_before_.push_back(frames_.empty() ? 0 : bytes_before_.back() + frames_.back().length);
  frames_.push_back({at, latest_ns_ - *first_ns_, static_cast<uint32_t>(edited.size()), way});
  progress_.kept++;
  return true;
} catch (const std::bad_alloc&) {
  return Error{.code = Code::kNoMemory, .message = "no memory for the trace, which is played from there"};
}

/// When a frame is to go out, after the start: frames of all loops are counted on.
int64_t Player::due(uint64_t index) const noexcept {
  const auto in_loops = static_cast<double>(loop_);
  switch (settings_.pace) {
    case Settings::Pace::kRecorded:
      return static_cast<int64_t>(
          (static_cast<double>(frames_[index].time_ns) + in_loops * static_cast<double>(loop_ns_)) / settings_.rate);
    case Settings::Pace::kPackets:
      return static_cast<int64_t>((in_loops * static_cast<double>(frames_.size()) + static_cast<double>(index)) * 1e9 /
                                  settings_.rate);
    case Settings::Pace::kBits: {
      const uint64_t all = bytes_before_.back() + frames_.back().length;
      const double bytes = in_loops * static_cast<double>(all) + static_cast<double>(bytes_before_[index]);
      return static_cast<int64_t>(bytes * 8e9 / settings_.rate);
    }
    default:
      return 0;
  }
}

void Player::nap(int64_t ns) noexcept {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::nanoseconds(ns), [this] { return stopped_.load(); });
}

/// False when it is stopped meanwhile.
bool Player::wait_until(int64_t due_ns) noexcept {
  const int64_t sleep = due_ns - kSpinNs - now_ns();
  if (sleep > 0) nap(sleep);
  while (now_ns() < due_ns && !stopped_.load(std::memory_order_relaxed)) relax();
  return !stopped_;
}

void Player::note(int64_t due_ns, uint64_t frames, uint64_t bytes) noexcept {
  const int64_t now = now_ns();
  const std::scoped_lock lock(mutex_);
  if (settings_.pace != Settings::Pace::kTopSpeed) lateness_.add(now - due_ns, frames);
  progress_.sent += frames;
  progress_.bytes += bytes;
  progress_.planned_ns = due_ns - start_ns_;
}

/// Sends frames of one way, all of them. False when it is stopped meanwhile.
Result<bool> Player::send(uint64_t from, uint64_t end, int64_t due_of_first) {
  const Way& way = ways_[frames_[from].way];
  std::array<TxFrame, kTogether> frames;
  for (uint64_t i = from; i < end; i++) frames[i - from] = {frames_[i].bytes, frames_[i].length};
  int64_t pause = kShortestNapNs;
  for (uint64_t done = from; done < end;) {
    if (stopped_.load(std::memory_order_relaxed)) return false;
    const auto taken = way.send(std::span(frames).subspan(done - from, end - done));
    if (!taken) return taken.error();
    if (*taken == 0) {
      nap(pause);
      pause = std::min(pause * 2, kLongestNapNs);
      continue;
    }
    pause = kShortestNapNs;
    if (settings_.pace == Settings::Pace::kTopSpeed) {
      uint64_t bytes = 0;
      for (uint64_t i = done; i < done + *taken; i++) bytes += frames_[i].length;
      note(due_of_first, *taken, bytes);
    } else {
      for (uint64_t i = done; i < done + *taken; i++) note(start_ns_ + due(i), 1, frames_[i].length);
    }
    done += *taken;
  }
  return true;
}

Result<Ok> Player::play() {
  block_signals();
#ifdef __linux__
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#endif
  if (frames_.size() > 1) {
    // As long as between its packets passes between a loop and the next one.
    loop_ns_ = frames_.back().time_ns + frames_.back().time_ns / static_cast<int64_t>(frames_.size() - 1);
  }
  {
    const std::scoped_lock lock(mutex_);
    start_ns_ = now_ns();
  }
  const bool paced = settings_.pace != Settings::Pace::kTopSpeed;
  Result<Ok> result = Ok{};
  bool goes_on = !frames_.empty();
  for (loop_ = 0; goes_on && (settings_.loops == 0 || loop_ < settings_.loops);) {
    for (uint64_t at = 0; goes_on && at < frames_.size();) {
      int64_t first_due = start_ns_ + due(at);
      if (paced) {
        if (!wait_until(first_due)) goes_on = false;
        if (const int64_t late = now_ns() - first_due; settings_.shifts && late > kShiftNs) {
          start_ns_ += late;
          first_due += late;
        }
      }
      if (!goes_on) break;
      // What is due by now goes out together, in order: those of one way with each other.
      uint64_t end = at + 1;
      const int64_t now = now_ns();
      while (end < frames_.size() && end < at + kTogether && frames_[end].way == frames_[at].way &&
             (!paced || start_ns_ + due(end) <= now)) {
        end++;
      }
      auto sent = send(at, end, first_due);
      goes_on = sent && *sent;
      if (!sent) result = std::move(sent).error();
      at = end;
    }
    if (!goes_on) break;
    loop_++;
    const std::scoped_lock lock(mutex_);
    progress_.loops = loop_;
  }
  auto finished = finish();
  return result ? std::move(finished) : std::move(result);
}

/// Sends what is still queued, for as long as some of it goes out.
Result<Ok> Player::finish() {
  Result<Ok> result = Ok{};
  uint64_t unsent = 0;
  for (const Way& way : ways_) {
    uint64_t before = UINT64_MAX;
    int64_t since = now_ns();
    int64_t pause = kShortestNapNs;
    for (;;) {
      auto flushed = way.flush();
      const uint64_t queued = way.stats().queued;
      if (!flushed) result = std::move(flushed);
      if (queued == 0 || !result || stopped_ || now_ns() - since > kPatienceNs) {
        unsent += queued;
        break;
      }
      if (queued != before) {
        since = now_ns();
        pause = kShortestNapNs;
      }
      before = queued;
      nap(pause);
      pause = std::min(pause * 2, kLongestNapNs);
    }
  }
  const std::scoped_lock lock(mutex_);
  progress_.unsent = unsent;
  ended_ns_ = now_ns();
  return result;
}

void Player::stop() noexcept {
  const std::scoped_lock lock(mutex_);
  stopped_ = true;
  wake_.notify_all();
}

Progress Player::progress() const {
  std::array<TxStats, 2> ways{};
  for (size_t i = 0; i < ways_.size(); i++) ways[i] = ways_[i].stats();
  const std::scoped_lock lock(mutex_);
  Progress now = progress_;
  now.elapsed_ns = start_ns_ == 0 ? 0 : (ended_ns_ != 0 ? ended_ns_ : now_ns()) - start_ns_;
  now.late50_ns = lateness_.percentile(0.5);
  now.late90_ns = lateness_.percentile(0.9);
  now.late99_ns = lateness_.percentile(0.99);
  now.late_most_ns = lateness_.most();
  now.ways = ways;
  return now;
}

}  // namespace ringtap::replay
