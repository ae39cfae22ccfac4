// One packet of a batch, read once from memory that JS can write, and checked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/desc.h"
#include "core/error.h"
#include "core/untrusted.h"
#include "format/encoder.h"

namespace ringtap {

struct CheckedPacket {
  const std::byte* data = nullptr;
  uint32_t caplen = 0;
  uint32_t wirelen = 0;
  uint32_t flags = 0;
  uint64_t unix_ns = 0;
};

/// Unix time in ns of packet i; nothing when it is before 1970 or beyond 2^63 ns.
inline std::optional<uint64_t> unix_time(const BatchView& batch, uint32_t i, uint32_t flags) noexcept {
  // SAFETY of the arithmetic: the epoch is below 2^62 either way, as append() has checked. Modulo 2^64 the sum is
  // right, and being close to [0, 2^63) it has its highest bit set where it is outside.
  constexpr double k2To63 = 9223372036854775808.0;
  constexpr double kMostRest = 4096;
  const double time = load_once(&batch.time[i]);
  const double about = static_cast<double>(batch.epoch_ns) + time;
  if (!(about > -kMostRest && about < k2To63 && time < k2To63)) [[unlikely]]
    return std::nullopt;
  uint64_t ns = static_cast<uint64_t>(batch.epoch_ns) + static_cast<uint64_t>(static_cast<int64_t>(time));
  if ((flags & kFlagTimeInexact) != 0) [[unlikely]] {
    const double rest = load_once(&batch.rest[i]);
    if (!(rest >= -kMostRest && rest <= kMostRest)) return std::nullopt;
    ns += static_cast<uint64_t>(static_cast<int64_t>(rest));
  }
  return ns;
}

/// Packet i of the batch; its data is null when the batch does not hold such a packet.
inline CheckedPacket check_packet(const BatchView& batch, uint32_t i, const PacketLimits& limits) noexcept {
  if (i >= batch.count) [[unlikely]]
    return {};
  const uint32_t offset = load_once(&batch.offset[i]);
  const uint32_t caplen = load_once(&batch.caplen[i]);
  if (uint64_t{offset} + caplen > batch.segment_bytes) [[unlikely]]
    return {};
  const uint32_t flags = load_once(&batch.flags[i]);
  const auto unix_ns = unix_time(batch, i, flags);
  if (!unix_ns || *unix_ns >= limits.end_ns) [[unlikely]]
    return {};
  return {
      .data = batch.segment + offset,
      .caplen = std::min(caplen, limits.snaplen),
      .wirelen = load_once(&batch.wirelen[i]),
      .flags = flags,
      .unix_ns = *unix_ns,
  };
}

/// The times of the packets that are added to a buffer.
class TimeSpan {
 public:
  void add(uint64_t unix_ns) noexcept {
    if (earliest_ > latest_) [[unlikely]]
      first_ = unix_ns;
    earliest_ = std::min(earliest_, unix_ns);
    latest_ = std::max(latest_, unix_ns);
  }
  void add(const TimeSpan& other) noexcept {
    earliest_ = std::min(earliest_, other.earliest_);
    latest_ = std::max(latest_, other.latest_);
  }
  bool is_empty() const noexcept { return earliest_ > latest_; }
  uint64_t earliest_ns() const noexcept { return earliest_; }
  uint64_t latest_ns() const noexcept { return latest_; }
  void put(EncodeBuffer& buffer) const noexcept {
    if (earliest_ > latest_) return;
    if (buffer.earliest_ns > buffer.latest_ns) buffer.first_ns = first_;
    buffer.earliest_ns = std::min(buffer.earliest_ns, earliest_);
    buffer.latest_ns = std::max(buffer.latest_ns, latest_);
  }

 private:
  uint64_t first_ = 0;
  uint64_t earliest_ = UINT64_MAX;
  uint64_t latest_ = 0;
};

/// Why check_packet() found no packet there.
inline Error bad_packet(const BatchView& batch, uint32_t i) {
  if (i >= batch.count) {
    return Error{
        .code = Code::kBadOption,
        .message = "there is no packet " + std::to_string(i) + " in a batch of " + std::to_string(batch.count)};
  }
  const uint32_t offset = load_once(&batch.offset[i]);
  const uint64_t end = uint64_t{offset} + load_once(&batch.caplen[i]);
  const std::string name = "packet " + std::to_string(i) + " of the batch ";
  if (offset == DescBlock::kPoison) return Error{.code = Code::kReleased, .message = name + "was released"};
  if (end > batch.segment_bytes) {
    return Error{.code = Code::kBadOption,
                 .message = name + "claims bytes " + std::to_string(offset) + " to " + std::to_string(end) +
                            ", but its memory has " + std::to_string(batch.segment_bytes)};
  }
  const double seconds = (static_cast<double>(batch.epoch_ns) + load_once(&batch.time[i])) / 1e9;
  return Error{
      .code = Code::kUnsupported,
      .message = name + "has a time that the format cannot hold, about " + std::to_string(seconds) + " s after 1970",
      .hint =
          "A pcap file holds times from 1970 to 2106, a pcapng file from 1970 to 2262. The packets before "
          "this one are in the file."};
}

}  // namespace ringtap
