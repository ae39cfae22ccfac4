#include "backends/synth/synth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include "backends/synth/frames.h"
#include "backends/synth/transmit.h"
#include "core/clock.h"
#include "core/sending_source.h"
#include "filter/placement.h"

namespace ringtap::synth {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kMaxLeases = 64;
constexpr uint32_t kAlign = 64;              // a cache line: frames of 64 bytes stay contiguous
constexpr uint64_t kMostPerReceive = 65536;  // made in one receive(), even if none of them is delivered
constexpr size_t kFramesPerLook = 1024;      // made between looks whether anybody still waits for them
constexpr int64_t kFlatOutGapNs = 1000;
constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kFlatOutEpochNs = 1'600'000'000'000'000'000;  // fixed, so that a seed gives the same times, too

int64_t clock_ns() { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); }

uint32_t aligned(uint32_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

struct Faults {
  uint64_t drop_every = 0;
  uint64_t corrupt_every = 0;
  uint64_t stall_after = 0;
  std::chrono::milliseconds stall{0};
  uint64_t error_after = 0;
};

/// Frames are made once, at open; packet k shows frame k modulo their number. Where corruption is asked for,
/// each frame is followed by its damaged twin, so that nothing is written while JS may be reading.
struct Frame {
  uint32_t offset;
  uint32_t bytes;
};

Error injected(const OpenRequest& request, uint64_t after) {
  return {.code = Code::kInjected,
          .message = request.uri + ": failed on request after " + std::to_string(after) + " packets"};
}

class Synth final : public Source {
 public:
  Synth(SourceInfo info, std::vector<std::vector<Frame>> frames, const OpenRequest& request)
      : info_(std::move(info)),
        frames_(std::move(frames)),
        rate_(request.options.number("rate")),
        backlog_(static_cast<uint64_t>(request.options.integer("backlog", 65536))),
        snaplen_(info_.snaplen),
        leases_(kMaxLeases) {
    const auto number = [&](const char* name) { return static_cast<uint64_t>(request.options.integer(name)); };
    faults_.drop_every = number("dropEvery");
    faults_.corrupt_every = number("corruptEvery");
    faults_.stall_after = number("stallAfter");
    faults_.stall = std::chrono::milliseconds(request.options.integer("stallMs", 100));
    faults_.error_after = number("errorAfter");
    for (const uint64_t end : {number("count"), faults_.error_after}) {
      if (end != 0) limit_ = std::min(limit_, end);
    }
    for (const std::vector<Frame>& list : frames_) frame_count_ += list.size();
    error_ = injected(request, faults_.error_after);
    gap_ns_ = rate_ > 0 ? 1e9 / rate_ : static_cast<double>(kFlatOutGapNs);
  }

  const SourceInfo& info() const noexcept override { return info_; }

  Result<FilterPlacement> set_filter(std::shared_ptr<Filter> filter) override {
    auto program = filter->program(info_.link_type);
    if (!program) return std::move(program).error();
    return filter_.place_here(**program, "synthetic packets pass no kernel");
  }

  Result<Ok> start() override {
    started_ns_.store(clock_ns(), std::memory_order_relaxed);
    return Ok{};
  }

  RxBatch receive(DescBlock& block, uint32_t max) noexcept override {
    if (closed_ns_.load(std::memory_order_relaxed) != kNever) return {.rx = Rx::kEof};
    if (leases_.full()) return {.rx = Rx::kNoBuffer};
    uint64_t end = available();
    const bool plain = faults_.drop_every == 0 && faults_.corrupt_every == 0 && filter_.judged() == Judged::kNone;
    uint32_t n = 0;
    uint64_t bytes = 0;
    uint64_t next = next_.load(std::memory_order_relaxed);
    const std::vector<Frame>& frames = frames_[segment_];
    const std::byte* base = info_.segments[segment_].base;
    uint64_t drops = 0;
    filter_.renew();
    while (n < max && next < end && index_ < frames.size()) {
      const Frame frame = frames[index_++];
      const uint64_t number = ++next;
      uint32_t offset = frame.offset;
      uint32_t flags = 0;
      uint32_t keep = snaplen_;
      if (!plain) {
        if (faults_.drop_every != 0 && number % faults_.drop_every == 0) {
          drops++;
          continue;
        }
        if (faults_.corrupt_every != 0 && number % faults_.corrupt_every == 0) {
          offset += aligned(frame.bytes);
          flags |= kFlagCorrupt;
        }
        keep = std::min(keep, filter_.keep(base + offset, frame.bytes, frame.bytes));
        if (filter_.used_up()) end = next;  // this one was the last
        if (keep == 0) continue;
      }
      // Level 2: what finds no room in the few level 1 miss buffers would be forgotten, and that is most of a batch.
      __builtin_prefetch(base + offset, 0, 2);
      block.set_basic(n++, offset, std::min(frame.bytes, keep), frame.bytes,
                      static_cast<int64_t>(static_cast<double>(number - 1) * gap_ns_), flags);
      bytes += frame.bytes;
    }
    const uint32_t segment = segment_;
    if (index_ == frames.size()) next_segment();
    next_.store(next, std::memory_order_relaxed);
    injected_ += drops;
    if (n > 0) {
      delivered_bytes_ += bytes;
      delivered_ += n;
      return {
          .rx = Rx::kOk, .count = n, .segment = segment, .link_type = info_.link_type, .lease = *leases_.acquire(0)};
    }
    if (next < limit_) return {.rx = Rx::kAgain};
    return {.rx = limit_ == faults_.error_after ? Rx::kError : Rx::kEof};
  }

  bool release(Lease lease) noexcept override { return leases_.release(lease).has_value(); }

  Readiness readiness() const noexcept override {
    // A fruitless receive() of an unpaced source only means that faults or the filter ate a whole stretch.
    if (rate_ <= 0 && faults_.stall_after == 0) return {.kind = Readiness::Kind::kAlways};
    return {.kind = Readiness::Kind::kPoll, .max_sleep_us = 100};
  }

  bool pending() const noexcept override {
    const uint64_t next = next_.load(std::memory_order_relaxed);
    if (next >= limit_) return true;
    return !stalled() && (rate_ <= 0 || due() > next);
  }

  Stats stats() const noexcept override {
    Stats s;
    s.delivered = delivered_;
    s.delivered_bytes = delivered_bytes_;
    s.filtered = filter_.filtered();
    s.dropped = injected_ + late_;
    const uint64_t made = s.delivered + s.filtered + s.dropped;
    s.received = rate_ > 0 ? std::max(made, due()) : made;
    s.pending = s.received - made;
    s.drops = {{"ring", late_}, {"injected", injected_}};
    return s;
  }

  const Error& error() const noexcept override { return error_; }

  void close() noexcept override {
    int64_t open = kNever;
    if (closed_ns_.compare_exchange_strong(open, clock_ns())) info_.segments.clear();
  }

 private:
  /// How many packets exist by now, as a limit on next_. Counts what a slow reader has missed.
  uint64_t available() noexcept {
    uint64_t next = next_.load(std::memory_order_relaxed);
    uint64_t end = limit_;
    if (faults_.stall_after != 0) {
      if (next < faults_.stall_after) {
        end = std::min(end, faults_.stall_after);
      } else if (stall_until_ns_.load(std::memory_order_relaxed) == 0) {
        stall_until_ns_.store(clock_ns() + std::chrono::nanoseconds(faults_.stall).count(), std::memory_order_relaxed);
        return next;
      } else if (stalled()) {
        return next;
      }
    }
    if (rate_ > 0) {
      const uint64_t now = due();
      if (now > next + backlog_) {
        const uint64_t lost = now - backlog_ - next;
        late_ += lost;
        next += lost;
        next_.store(next, std::memory_order_relaxed);
        skip_frames(lost);
      }
      end = std::min(end, now);
    }
    return std::min(end, next + kMostPerReceive);
  }

  /// With a rate: how many packets there should be by now. None before start(), no more after close().
  uint64_t due() const noexcept {
    const int64_t now = std::min(clock_ns(), closed_ns_.load(std::memory_order_relaxed));
    const int64_t elapsed = std::max<int64_t>(0, now - started_ns_.load(std::memory_order_relaxed));
    return std::min(static_cast<uint64_t>(static_cast<double>(elapsed) * 1e-9 * rate_), limit_);
  }

  void next_segment() noexcept {
    index_ = 0;
    segment_ = segment_ + 1 == frames_.size() ? 0 : segment_ + 1;
  }

  /// For packets that nobody sees.
  void skip_frames(uint64_t packets) noexcept {
    packets %= frame_count_;
    for (size_t rest; packets >= (rest = frames_[segment_].size() - index_); packets -= rest) next_segment();
    index_ += packets;
  }

  bool stalled() const noexcept { return clock_ns() < stall_until_ns_.load(std::memory_order_relaxed); }

  SourceInfo info_;
  const std::vector<std::vector<Frame>> frames_;  // one list per segment
  const double rate_;
  const uint64_t backlog_;
  const uint32_t snaplen_;
  uint64_t limit_ = UINT64_MAX;  // no packet is made after so many
  double gap_ns_ = 0;
  Faults faults_;
  Error error_;
  LeaseTable leases_;
  UserFilter filter_;
  uint64_t frame_count_ = 0;
  uint32_t segment_ = 0;
  size_t index_ = 0;
  std::atomic<int64_t> started_ns_{kNever};
  std::atomic<int64_t> closed_ns_{kNever};
  std::atomic<int64_t> stall_until_ns_{0};
  std::atomic<uint64_t> next_{0};  // packets made so far, whatever became of them
  uint64_t delivered_ = 0;
  uint64_t delivered_bytes_ = 0;
  uint64_t injected_ = 0;
  uint64_t late_ = 0;
};

/// Takes frames instead of making them. With `verify` they are to be those that a capture with the same options shows.
std::unique_ptr<Source> sink(SourceInfo info, const std::vector<std::vector<Frame>>& frames,
                             const OpenRequest& request) {
  const auto number = [&](const char* name) { return static_cast<uint64_t>(request.options.integer(name)); };
  SinkSettings settings{.drop_every = number("dropEvery"),
                        .stall_after = number("stallAfter"),
                        .stall = std::chrono::milliseconds(request.options.integer("stallMs", 100)),
                        .error_after = number("errorAfter")};
  settings.error = injected(request, settings.error_after);
  settings.error.message = settings.error.message.substr(request.uri.size() + 2);  // who sends says where
  if (request.options.flag("verify")) {
    std::vector<TxFrame> all;
    for (size_t i = 0; i < frames.size(); i++) {
      for (const Frame& frame : frames[i]) all.emplace_back(info.segments[i].base + frame.offset, frame.bytes);
    }
    settings.expected = [all = std::move(all), memory = info.segments](uint64_t at) { return all[at % all.size()]; };
  }
  info.segments.clear();
  return std::make_unique<SendingSource>(std::move(info), std::make_unique<SinkTx>(std::move(settings)));
}

Result<std::unique_ptr<Source>> open(const OpenRequest& request) {
  const Options& options = request.options;
  auto profile = parse_profile(options.text("sizes", "64"), options.text("protocols", "udp,tcp"));
  if (!profile) {
    Error error = std::move(profile).error();
    error.message = request.uri + ": " + error.message;
    return error;
  }
  profile->flows = static_cast<uint32_t>(options.integer("flows", 256));
  profile->vlan = static_cast<uint16_t>(options.integer("vlanId"));
  const bool twins = options.integer("corruptEvery") != 0;

  const auto budget = static_cast<size_t>(options.integer("bufferBytes", 1 << 20));
  auto region = Region::allocate(std::max<size_t>(budget, 32768));  // room for one frame and its twin, at least
  if (!region) return std::move(region).error();

  SourceInfo info;
  info.mode = "memory";
  info.timestamp_source = "synthetic";
  info.max_leases = kMaxLeases;
  info.epoch_ns = kFlatOutEpochNs;
  info.snaplen = static_cast<uint32_t>(options.integer("snaplen", kMaxSnaplen));
  if (options.number("rate") > 0) info.epoch_ns = epoch_now_ns();

  Random random(static_cast<uint64_t>(options.integer("seed", 1)));
  std::vector<std::vector<Frame>> frames;
  const size_t total = (*region)->bytes();
  for (size_t start = 0; start < total; start += kMaxSegmentBytes) {
    const Segment segment{*region, (*region)->base() + start, std::min(kMaxSegmentBytes, total - start)};
    std::vector<Frame> list;
    for (size_t at = 0;;) {
      const auto protocol = profile->protocols[random.below(static_cast<uint32_t>(profile->protocols.size()))];
      const uint32_t bytes = draw_size(*profile, protocol, random);
      const uint32_t room = aligned(bytes) * (twins ? 2 : 1);
      if (at + room > segment.bytes) break;
      write_frame(segment.base + at, bytes, protocol, random.below(profile->flows), profile->vlan, random);
      if (twins) {
        std::byte* twin = segment.base + at + aligned(bytes);
        std::copy_n(segment.base + at, bytes, twin);
        twin[random.below(bytes)] ^= std::byte{1} << random.below(8);
      }
      list.push_back({static_cast<uint32_t>(at), bytes});
      at += room;
      if (list.size() % kFramesPerLook == 0 && request.is_cancelled())
        return Error{.code = Code::kClosed, .message = "opening was given up"};
    }
    if (list.empty()) break;  // a last segment too short for a frame
    info.segments.push_back(segment);
    frames.push_back(std::move(list));
  }
  if (request.purpose == Purpose::kTransmit) return sink(std::move(info), frames, request);
  return std::unique_ptr<Source>(std::make_unique<Synth>(std::move(info), std::move(frames), request));
}

}  // namespace

}  // namespace ringtap::synth

namespace ringtap {

Result<std::unique_ptr<Source>> open_synth(const OpenRequest& request) { return synth::open(request); }

Probe probe_synth() { return {}; }

std::vector<Device> devices_synth() { return {}; }

}  // namespace ringtap
