// Packet descriptors: what a backend says about each packet of a batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/tunnel.h"

#ifdef __GNUC__
#define RINGTAP_COLD [[gnu::cold, gnu::noinline]]
#else
#define RINGTAP_COLD
#endif

namespace ringtap {

/// Bits of PacketDesc::flags; lib/capture/batch.ts exports the same values as PacketFlags.
enum PacketFlag : uint32_t {
  kFlagOutgoing = 1,      // sent by this host
  kFlagVlan = 2,          // `vlan` holds a tag that is NOT in the bytes
  kFlagHardwareTime = 4,  // stamped by the NIC
  kFlagTimeInexact = 8,   // more than 2^53 ns from the epoch: `time` is rounded, `rest` is what it lacks
  kFlagCorrupt = 16,      // damaged on purpose by synth:
  kFlagFragmented = 32,   // arrived in pieces and was joined by a copy
};

/// One packet. `offset` counts from the start of the batch's segment.
struct PacketDesc {
  uint32_t offset = 0;
  uint32_t caplen = 0;   // bytes captured, readable at offset
  uint32_t wirelen = 0;  // bytes on the wire
  int64_t time_ns = 0;   // ns since the source's epoch
  uint32_t flags = 0;
  uint32_t hash = 0;
  uint16_t queue = 0;
  uint16_t vlan = 0;
};

/// What a trace tells of a packet beside it. In memory that JS never sees.
struct PacketOrigin {
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t interface = kNone;  // which of those that the source's blocks() describe
  uint32_t options = 0;        // where its options are in the segment,
  uint32_t option_bytes = 0;   // and how many bytes
  bool swapped = false;        // they are of a host of the other byte order
};

/// ns since an epoch that 64 bits need not hold: high * 2^32 + low, with a high below 2^63 - 2^10.
struct WideTime {
  int64_t high = 0;
  uint32_t low = 0;
};

/// A struct of arrays of packet descriptors. JS reads the same memory, so native code writes it
/// and never reads it back for a decision.
///
/// A packet's time is time + rest, two whole numbers. `rest` means something where kFlagTimeInexact is set, and is
/// touched nowhere else: the times of a live capture fit a double for its first 104 days.
///
/// Layout of the one allocation (capacity n): time f64[n] | rest f64[n] | offset u32[n] | caplen u32[n] |
/// wirelen u32[n] | flags u32[n] | hash u32[n] | queue u16[n] | vlan u16[n] | control u32[4], and behind it, where
/// packets come out of tunnels, tunnel TunnelRow[n].
class DescBlock {
 public:
  /// Written to the offsets of a released batch: any DataView read with it throws RangeError.
  static constexpr uint32_t kPoison = 0x7fffffff;

  enum class Tunnels : bool { kNone, kTold };

  explicit DescBlock(uint32_t capacity, Tunnels tunnels = Tunnels::kNone);

  static constexpr size_t bytes_for(uint32_t capacity, Tunnels tunnels = Tunnels::kNone) {
    return size_t{capacity} * (40 + (tunnels == Tunnels::kTold ? sizeof(TunnelRow) : 0)) + 16;
  }

  /// Makes room for origins.
  void tell_origins() {
    origins_ = std::make_unique<PacketOrigin[]>(capacity_);
    origin = origins_.get();
  }

  uint32_t capacity() const noexcept { return capacity_; }
  std::byte* data() const noexcept { return memory_.get(); }
  size_t bytes() const noexcept { return bytes_for(capacity_, tunnel != nullptr ? Tunnels::kTold : Tunnels::kNone); }
  /// Keeps the memory alive for as long as an ArrayBuffer shows it.
  const std::shared_ptr<std::byte[]>& memory() const noexcept { return memory_; }

  void set(uint32_t i, const PacketDesc& d) noexcept {
    set_basic(i, d.offset, d.caplen, d.wirelen, d.time_ns, d.flags);
    hash[i] = d.hash;
    queue[i] = d.queue;
    vlan[i] = d.vlan;
  }

  /// For sources that never set hash, queue or vlan: those arrays stay zero.
  void set_basic(uint32_t i, uint32_t off, uint32_t cap, uint32_t wire, int64_t time_ns, uint32_t flag) noexcept {
    offset[i] = off;
    caplen[i] = cap;
    wirelen[i] = wire;
    flags[i] = flag;
    set_time(i, time_ns);
  }

  /// Adds to flags[i], which is set before.
  void set_time(uint32_t i, int64_t ns) noexcept {
    constexpr uint64_t kExact = uint64_t{1} << 53;
    time[i] = static_cast<double>(ns);
    if (static_cast<uint64_t>(ns) + kExact > 2 * kExact) [[unlikely]]
      split_time(i, {.high = ns >> 32, .low = static_cast<uint32_t>(ns)});
  }
  void set_time(uint32_t i, const WideTime& ns) noexcept {
    if (ns.high == static_cast<int32_t>(ns.high)) return set_time(i, (ns.high << 32) | ns.low);
    split_time(i, ns);
  }

  /// Offsets [from, to) become unreadable.
  void poison(uint32_t from, uint32_t to) noexcept {
    for (uint32_t i = from; i < to; i++) offset[i] = kPoison;
  }

 private:
  RINGTAP_COLD void split_time(uint32_t i, WideTime ns) noexcept;

  uint32_t capacity_;
  std::shared_ptr<std::byte[]> memory_;
  std::unique_ptr<PacketOrigin[]> origins_;

 public:
  double* time;
  double* rest;
  uint32_t* offset;
  uint32_t* caplen;
  uint32_t* wirelen;
  uint32_t* flags;
  uint32_t* hash;
  uint16_t* queue;
  uint16_t* vlan;
  uint32_t* control;               // [segment, link type, ms of a coarse clock at receipt, generation] of the batch
  TunnelRow* tunnel;               // null where nothing is told of tunnels
  PacketOrigin* origin = nullptr;  // null where nothing is told of them; not behind the others
};

}  // namespace ringtap
