#include "addon/inline_taps.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace ringtap::addon {

namespace {

using forward::Frame;

/// Frames of one port on their way to a writer.
class Gathered {
 public:
  explicit Gathered(int64_t epoch_ns) : epoch_ns_(epoch_ns) {}

  void add(const Frame& frame, int64_t time_ns, uint32_t flags) {
    offset_.push_back(static_cast<uint32_t>(bytes_.size()));
    bytes_.insert(bytes_.end(), frame.data, frame.data + frame.length);
    if (frame.offload.is_partial()) {
      Frame copy = frame;
      copy.data = bytes_.data() + offset_.back();
      forward::complete_sum(copy);
    }
    length_.push_back(frame.length);
    flags_.push_back(flags);
    time_.push_back(static_cast<double>(time_ns - epoch_ns_));
    rest_.push_back(0);
  }

  /// An error ends the trace, and is told of where the writer is closed.
  void flush(TraceWriter& writer, uint32_t source) {
    if (offset_.empty()) return;
    const BatchView view{.time = time_.data(),
                         .rest = rest_.data(),
                         .offset = offset_.data(),
                         .caplen = length_.data(),
                         .wirelen = length_.data(),
                         .flags = flags_.data(),
                         .count = static_cast<uint32_t>(offset_.size()),
                         .segment = bytes_.data(),
                         .segment_bytes = bytes_.size(),
                         .epoch_ns = epoch_ns_,
                         .link_type = 1,
                         .source = source};
    static_cast<void>(writer.append(view));
    bytes_.clear();
    offset_.clear();
    length_.clear();
    flags_.clear();
    time_.clear();
    rest_.clear();
  }

 private:
  int64_t epoch_ns_;
  std::vector<std::byte> bytes_;
  std::vector<uint32_t> offset_, length_, flags_;
  std::vector<double> time_, rest_;
};

/// One of the three.
class OneTap {
 public:
  OneTap(Tap tap, size_t ports) : tap_(std::move(tap)) {
    if (tap_.writer) gathered_.assign(ports, Gathered(epoch_now_ns()));
  }
  ~OneTap() {
    if (tap_.ring) tap_.ring->end();
  }
  OneTap(const OneTap&) = delete;
  OneTap& operator=(const OneTap&) = delete;

  bool is_wanted() const noexcept { return bool(tap_); }

  void add(uint16_t port, const Frame& frame, int64_t time_ns, uint32_t flags) {
    if (tap_.writer) gathered_[port].add(frame, time_ns, flags);
    if (tap_.ring) tap_.ring->push(port, frame, time_ns, flags);
  }

  void flush() {
    if (tap_.ring) tap_.ring->flush();
    for (uint32_t port = 0; port < gathered_.size(); port++) gathered_[port].flush(*tap_.writer, port);
  }

 private:
  const Tap tap_;
  std::vector<Gathered> gathered_;
};

class Taps final : public forward::Taps {
 public:
  Taps(TapsWanted wanted, size_t ports)
      : ingress_(std::move(wanted.ingress), ports),
        egress_(std::move(wanted.egress), ports),
        synthetic_(std::move(wanted.synthetic), ports) {}

  void ingress(uint16_t port, const Frame& frame) override {
    if (ingress_.is_wanted()) ingress_.add(port, frame, frame.time_ns, 0);
  }
  void synthetic(uint16_t port, const Frame& frame) override { synthetic_.add(port, frame, frame.time_ns, 0); }
  bool wants_synthetic() const noexcept override { return synthetic_.is_wanted(); }
  void egress(uint16_t port, const Frame& frame) override {
    if (egress_.is_wanted()) egress_.add(port, frame, unix_now_ns(), kFlagOutgoing);
  }

  void flush() override {
    ingress_.flush();
    egress_.flush();
    synthetic_.flush();
  }

 private:
  OneTap ingress_, egress_, synthetic_;
};

}  // namespace

std::unique_ptr<forward::Taps> make_taps(TapsWanted wanted, size_t ports) {
  return std::make_unique<Taps>(std::move(wanted), ports);
}

}  // namespace ringtap::addon
