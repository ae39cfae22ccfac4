#include "backends/dpdk/module/clock.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include <chrono>
#include <thread>

#include "core/clock.h"
#include "core/desc.h"

namespace ringtap::dpdk {

BurstClock::BurstClock(const Port& port) : port_(port.id()) {
  if (!port.settings().driver_time) return;
  field_ = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, nullptr);
  const int bit = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, nullptr);
  if (field_ < 0 || bit < 0) return;
  flag_ = uint64_t{1} << bit;
  if (port.driver() == "net_pcap") {
    kind_ = Kind::kMicroseconds;
  } else if (port.hardware_time()) {
    // The unit is the NIC's: it is measured against this host's clock.
    uint64_t end_ticks = 0;
    if (rte_eth_read_clock(port_, &base_ticks_) != 0) return;
    base_ns_ = unix_now_ns();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (rte_eth_read_clock(port_, &end_ticks) != 0 || end_ticks == base_ticks_) return;
    ns_per_tick_ = static_cast<double>(unix_now_ns() - base_ns_) / static_cast<double>(end_ticks - base_ticks_);
    kind_ = Kind::kDevice;
  }
}

void BurstClock::read() noexcept { now_ns_ = unix_now_ns(); }

int64_t BurstClock::stamp(const rte_mbuf* packet, uint32_t& flags) const noexcept {
  if (kind_ == Kind::kHost || (packet->ol_flags & flag_) == 0) return now_ns_;
  const rte_mbuf_timestamp_t ticks = *RTE_MBUF_DYNFIELD(packet, field_, const rte_mbuf_timestamp_t*);
  if (kind_ == Kind::kMicroseconds) return static_cast<int64_t>(ticks) * 1000;
  flags |= kFlagHardwareTime;
  return base_ns_ + static_cast<int64_t>(static_cast<double>(static_cast<int64_t>(ticks - base_ticks_)) * ns_per_tick_);
}

std::string BurstClock::source() const {
  return kind_ == Kind::kDevice ? "hardware" : kind_ == Kind::kMicroseconds ? "file" : "user";
}

}  // namespace ringtap::dpdk
