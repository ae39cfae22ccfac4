// One packet of a batch, read once from memory that JS can write, and checked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/desc.h"
#include "core/error.h"
#include "format/encoder.h"

namespace ringtap {

/// What a format can hold.
struct PacketLimits {
  uint32_t snaplen = 0;
  uint64_t end_ns = 0;  // times from 1970 up to here, exclusive
};

struct CheckedPacket {
  const std::byte* data = nullptr;
  uint32_t caplen = 0;
  uint32_t wirelen = 0;
  uint32_t flags = 0;
  uint64_t unix_ns = 0;
};

/// SAFETY: JS may change a descriptor while we look at it. One volatile read makes what is checked and what
/// is used the same value.
template <class T>
T load_once(const T* at) noexcept {
  return *static_cast<const volatile T*>(at);
}

/// Packet i of the batch; its data is null when the batch does not hold such a packet.
inline CheckedPacket check_packet(const BatchView& batch, uint32_t i, const PacketLimits& limits) noexcept {
  const uint32_t offset = load_once(&batch.offset[i]);
  const uint32_t caplen = load_once(&batch.caplen[i]);
  if (uint64_t{offset} + caplen > batch.segment_bytes) [[unlikely]]
    return {};
  // Both summands are below 2^62: append() has checked the epoch.
  constexpr double kFar = 4.6e18;
  const double time = load_once(&batch.time[i]);
  if (!(time > -kFar && time < kFar)) [[unlikely]]
    return {};
  const int64_t unix_ns = batch.epoch_ns + static_cast<int64_t>(time);
  if (static_cast<uint64_t>(unix_ns) >= limits.end_ns) [[unlikely]]
    return {};
  return {
      .data = batch.segment + offset,
      .caplen = std::min(caplen, limits.snaplen),
      .wirelen = load_once(&batch.wirelen[i]),
      .flags = load_once(&batch.flags[i]),
      .unix_ns = static_cast<uint64_t>(unix_ns),
  };
}

/// Why check_packet() found no packet there.
inline Error bad_packet(const BatchView& batch, uint32_t i) {
  const uint32_t offset = load_once(&batch.offset[i]);
  const uint64_t end = uint64_t{offset} + load_once(&batch.caplen[i]);
  const std::string name = "packet " + std::to_string(i) + " of the batch ";
  if (offset == DescBlock::kPoison) return Error{.code = Code::kReleased, .message = name + "was released"};
  if (end > batch.segment_bytes) {
    return Error{.code = Code::kBadOption,
                 .message = name + "claims bytes " + std::to_string(offset) + " to " + std::to_string(end) +
                            ", but its memory has " + std::to_string(batch.segment_bytes)};
  }
  return Error{.code = Code::kBadOption, .message = name + "has a time that the format cannot hold"};
}

}  // namespace ringtap
