#include "write/rotation.h"

#include <algorithm>

#include "core/untrusted.h"
#include "format/checked_packet.h"

namespace ringtap {
namespace {

/// A packet may lie in a ring for so long before it comes to us.
constexpr std::chrono::seconds kGrace{1};
/// Packets this close to the clock are being captured now, and not read from a trace.
constexpr int64_t kNowNs = 10'000'000'000;

std::optional<uint64_t> time_of(const BatchView& batch, uint32_t i) {
  const uint32_t index = batch.index(i);
  if (index >= batch.count) return std::nullopt;  // the encoder says so
  return unix_time(batch, index, load_once(&batch.flags[index]));
}

}  // namespace

void Rotation::begin() noexcept {
  files_++;
  bytes_ = 0;
  packets_ = 0;
  due_.reset();
}

uint32_t Rotation::end_of(const BatchView& batch, uint32_t next) {
  uint32_t end = batch.size();
  if (request_.packets > 0) {
    const uint64_t left = request_.packets > packets_ ? request_.packets - packets_ : 0;
    end = static_cast<uint32_t>(std::min<uint64_t>(end, next + left));
  }
  if (request_.period_ns == 0) return end;
  for (uint32_t i = next; i < end; i++) {
    const auto time = time_of(batch, i);
    if (!time) return end;
    if (packets_ == 0 && i == next) {
      starts_at(*time);
    } else if (*time >= end_ns_) {
      return i;
    }
  }
  return end;
}

std::optional<Rotation::Clock::time_point> Rotation::due() const noexcept {
  if (packets_ == 0 || !due_) return std::nullopt;
  return std::max(*due_, added_ + kGrace);
}

/// The file begins with a packet of this time.
void Rotation::starts_at(uint64_t unix_ns) {
  const auto period = static_cast<uint64_t>(request_.period_ns);
  if (!start_ns_) start_ns_ = request_.on_clock ? 0 : unix_ns;
  // One that is older than all before it begins no period of its own.
  const uint64_t since = unix_ns > *start_ns_ ? unix_ns - *start_ns_ : 0;
  end_ns_ = *start_ns_ + (since / period + 1) * period;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  const auto behind = now_ns - static_cast<int64_t>(unix_ns);
  due_.reset();
  if (behind > kNowNs || behind < -kNowNs) return;
  due_ = Clock::now() + std::chrono::nanoseconds(static_cast<int64_t>(end_ns_) - now_ns) + kGrace;
}

}  // namespace ringtap
