#include "serve/choice.h"

#include <algorithm>

#include "filter/validate.h"

namespace ringtap {

Result<Ok> Choice::set_filter(const Program& program) {
  if (program.empty()) {
    vm_.reset();
    return Ok{};
  }
  if (auto valid = validate(program); !valid) return valid;
  vm_.emplace(program);
  return Ok{};
}

void Choice::set_sampling(Sampling sampling) noexcept {
  // WHY 0 is none: clients on little-endian hosts write it whatever was asked for.
  sampling_ = sampling.value == 0 ? Sampling{} : sampling;
  passed_ = 0;
  next_ns_ = 0;
}

bool Choice::is_sample(uint64_t unix_ns) noexcept {
  switch (sampling_.method) {
    case Sampling::Method::kNone:
      return true;
    case Sampling::Method::kOneOfEvery:
      if (++passed_ < sampling_.value) return false;
      passed_ = 0;
      return true;
    case Sampling::Method::kFirstAfterMs:
      if (unix_ns < next_ns_) return false;
      next_ns_ = unix_ns + uint64_t{sampling_.value} * 1'000'000;
      return true;
  }
  return true;
}

rpcap::Packet Choice::choose(const BatchView& batch, uint32_t i, const Window& window) noexcept {
  constexpr uint64_t kSecond = 1'000'000'000;
  constexpr uint64_t kEndNs = (uint64_t{1} << 32) * kSecond;
  counts_.looked++;
  const CheckedPacket packet = check_packet(batch, i, {.snaplen = kMaxSnaplen, .end_ns = kEndNs});
  if (packet.data == nullptr) {
    counts_.damaged++;
    return {};
  }
  if (packet.unix_ns < window.since_ns || packet.unix_ns >= window.until_ns) {
    counts_.outside++;
    return {};
  }
  uint32_t keep = snaplen_;
  if (vm_) {
    const uint32_t wanted = vm_->run(packet.data, packet.wirelen, packet.caplen, budget_);
    if (wanted == 0) {
      counts_.filtered++;
      return {};
    }
    keep = std::min(keep, wanted);
  }
  if (own_.has({packet.data, packet.caplen}, batch.link_type)) {
    counts_.own++;
    return {};
  }
  if (!is_sample(packet.unix_ns)) {
    counts_.sampled++;
    return {};
  }
  return {.seconds = static_cast<uint32_t>(packet.unix_ns / kSecond),
          .micros = static_cast<uint32_t>(packet.unix_ns % kSecond / 1000),
          .caplen = std::min(packet.caplen, keep),
          .wirelen = packet.wirelen,
          .number = 0,
          .data = packet.data};
}

}  // namespace ringtap
