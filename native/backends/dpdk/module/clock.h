// The time of packets.
#pragma once

#include <cstdint>
#include <string>

#include "backends/dpdk/module/port.h"

struct rte_mbuf;

namespace ringtap::dpdk {

/// Stamps packets: with the driver's own times where it sets them in a unit that is known, else with this host's clock.
class BurstClock {
 public:
  /// After the port's queues are set up: drivers announce their timestamps then.
  explicit BurstClock(const Port& port);

  /// Reads this host's clock. Once per burst.
  void read() noexcept;
  int64_t now_ns() const noexcept { return now_ns_; }
  /// The bit of ol_flags that packets with a time of their own have; 0 when none has.
  uint64_t flag() const noexcept { return kind_ == Kind::kHost ? 0 : flag_; }
  /// Unix time in ns; sets a flag when the NIC stamped it.
  int64_t stamp(const rte_mbuf* packet, uint32_t& flags) const noexcept;

  /// For SourceInfo::timestamp_source.
  std::string source() const;

 private:
  enum class Kind : uint8_t { kHost, kMicroseconds, kDevice };

  const uint16_t port_;
  Kind kind_ = Kind::kHost;
  int field_ = -1;
  uint64_t flag_ = 0;
  int64_t now_ns_ = 0;
  // Of the NIC's clock: Unix time = base_ns + (stamp - base_ticks) * ns_per_tick.
  uint64_t base_ticks_ = 0;
  int64_t base_ns_ = 0;
  double ns_per_tick_ = 0;
};

}  // namespace ringtap::dpdk
