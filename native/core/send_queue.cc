#include "core/send_queue.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <utility>

namespace ringtap {

std::span<std::byte> SendQueue::reserve() noexcept {
  if (held_up_ || submitted_ - done_ == kFrames) return {};
  if (!memory_) memory_.reset(new (std::nothrow) std::byte[size_t{kFrames} * kFrameBytes]);
  starved_ = !memory_;  // which flush() says
  return starved_ ? std::span<std::byte>() : frame(submitted_);
}

void SendQueue::submit(uint32_t bytes) noexcept {
  if (!memory_ || submitted_ - done_ == kFrames || bytes > kFrameBytes) return;
  bytes_[submitted_++ % kFrames] = bytes;
  stats_.accepted++;
  stats_.queued++;
}

SendQueue::Passed SendQueue::pass(std::span<const TxFrame> frames) noexcept {
  uint32_t passed = 0;
  while (passed < frames.size()) {
    const auto rest = frames.subspan(passed);
    if (const auto lost = given_up(static_cast<uint32_t>(rest.size()))) {
      stats_.failed[static_cast<size_t>(TxFailure::kLinkDown)] += *lost;
      return {.frames = passed + *lost};
    }
    int err = 0;
    const uint32_t taken = hand_over(rest, err);
    stats_.completed += taken;
    passed += taken;
    if (taken > 0) {
      refused_since_ = 0;
      if (rest[taken - 1].size() >= hopeless_) hopeless_ = SIZE_MAX;
    }
    if (taken == rest.size() || err == 0) continue;
    Verdict verdict = judge(err);
    if (verdict.kind == Verdict::Kind::kRefused && is_hopeless(rest[taken].size())) {
      verdict = {.kind = Verdict::Kind::kSkip, .failure = TxFailure::kNoBuffer};
    }
    if (verdict.kind == Verdict::Kind::kWait || verdict.kind == Verdict::Kind::kRefused) break;
    if (verdict.kind == Verdict::Kind::kFail) {
      if (passed > 0) break;  // it fails again, when nothing is in front of it
      return {.error = std::move(verdict.error)};
    }
    stats_.failed[static_cast<size_t>(verdict.failure)]++;
    refused_since_ = 0;
    passed++;
  }
  return {.frames = passed};
}

bool SendQueue::is_hopeless(size_t bytes) noexcept {
  const int64_t now = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (refused_since_ == 0) refused_since_ = now;
  if (now - refused_since_ < (bytes >= hopeless_ ? kLittlePatienceNs : kPatienceNs)) return false;
  hopeless_ = std::min(hopeless_, bytes);
  return true;
}

Result<Ok> SendQueue::flush() noexcept {
  if (auto error = pass_queued()) return *std::move(error);
  return Ok{};
}

std::optional<Error> SendQueue::pass_queued() noexcept {
  if (starved_) return Error{.code = Code::kNoMemory, .message = "no memory for frames to send"};
  while (done_ != submitted_) {
    std::array<TxFrame, kTogether> frames;
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(kTogether, submitted_ - done_));
    for (uint32_t i = 0; i < count; i++) frames[i] = frame(done_ + i).first(bytes_[(done_ + i) % kFrames]);
    auto passed = pass(std::span(frames).first(count));
    if (passed.error) return std::move(passed.error);
    done_ += passed.frames;
    stats_.queued -= passed.frames;
    if (passed.frames < count) break;
  }
  if (done_ == submitted_) held_up_ = false;
  return std::nullopt;
}

Result<uint32_t> SendQueue::send(std::span<const TxFrame> frames) noexcept {
  if (auto error = pass_queued()) return *std::move(error);
  if (done_ != submitted_) return 0u;
  uint32_t taken = 0;
  while (taken < frames.size()) {
    if (const auto failure = limits().refuses(frames[taken])) {
      refuse(*failure);
      taken++;
      continue;
    }
    const size_t most = std::min<size_t>(frames.size(), size_t{taken} + kTogether);
    uint32_t end = taken + 1;
    while (end < most && !limits().refuses(frames[end])) end++;
    auto passed = pass(frames.subspan(taken, end - taken));
    if (passed.error) {
      if (taken > 0) break;
      return *std::move(passed.error);
    }
    stats_.accepted += passed.frames;
    taken += passed.frames;
    if (taken < end) {
      if (hold_up(frames[taken])) taken++;
      break;
    }
  }
  return taken;
}

bool SendQueue::hold_up(TxFrame frame) noexcept {
  const auto room = reserve();
  if (room.size() < frame.size()) return false;
  std::ranges::copy(frame, room.begin());
  submit(static_cast<uint32_t>(frame.size()));
  held_up_ = true;
  return true;
}

}  // namespace ringtap
