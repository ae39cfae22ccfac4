// The counters of a libpcap handle, made 64 bits wide.
#pragma once

#include <cstdint>

#include "libpcap/library.h"

namespace ringtap::pcap {

/// libpcap's counters are 32 bits wide and wrap: they must be read now and then.
struct PcapCounters {
  uint64_t received = 0;  // on Linux: what passed the kernel's filter, drops included
  uint64_t dropped = 0;   // for want of buffer

  void refresh(const LibPcap& library, pcap_t* handle) noexcept {
    PcapStat now{};
    if (library.stats(handle, &now) != 0) return;
    received += static_cast<uint32_t>(now.recv - last_.recv);
    dropped += static_cast<uint32_t>(now.drop - last_.drop);
    last_ = now;
  }

 private:
  PcapStat last_{};
};

}  // namespace ringtap::pcap
