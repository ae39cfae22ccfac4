// A libpcap handle, opened as an OpenRequest asks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/source.h"
#include "filter/prepend.h"
#include "libpcap/library.h"

namespace ringtap::pcap {

struct ClosePcap {
  void operator()(pcap_t* handle) const { libpcap()->close(handle); }
};
using PcapHandle = std::unique_ptr<pcap_t, ClosePcap>;

/// An activated, non-blocking handle.
struct PcapSession {
  PcapHandle handle;
  int64_t fraction_ns = 1;  // what a unit of a time stamp's sub-second part is worth
  bool hardware_time = false;
  bool cooked = false;  // libpcap gives cooked headers of the older kind: see cooked.h
  bool silent = false;  // bound to a protocol that nobody sends: see PacketSocket::listen()
  std::vector<std::string> notes{};
};

/// Opens the request's target. The handle keeps whole packets: the snaplen is applied behind the filter.
Result<PcapSession> open_session(const LibPcap& library, const OpenRequest& request);

}  // namespace ringtap::pcap
