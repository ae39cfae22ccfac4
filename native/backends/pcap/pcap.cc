#include "backends/pcap/pcap.h"

#include <utility>

#include "backends/pcap/packet_socket.h"
#include "backends/pcap/source.h"
#include "backends/pcap/target.h"
#include "libpcap/library.h"

namespace ringtap {

Probe probe_pcap() {
  const LibPcap* library = libpcap();
  if (library == nullptr) return {.available = false, .error = libpcap_missing(), .detail = {}};
  if (auto refused = pcap::capture_refused()) {
    return {.available = false, .error = *std::move(refused), .detail = library->lib_version()};
  }
  return {.available = true, .error = std::nullopt, .detail = library->lib_version()};
}

Result<std::unique_ptr<Source>> open_pcap(const OpenRequest& request) {
  const LibPcap* library = libpcap();
  if (library == nullptr) return libpcap_missing();
  if (request.purpose == Purpose::kTransmit) return pcap::open_sender(*library, request);
  return pcap::PcapSource::open(*library, request);
}

std::vector<Device> devices_pcap() {
  const LibPcap* library = libpcap();
  if (library == nullptr) return {};
  char error[kPcapErrorBufferSize] = "";
  PcapInterface* list = nullptr;
  if (library->findalldevs(&list, error) != 0) return {};
  std::vector<Device> devices;
  for (const PcapInterface* at = list; at != nullptr; at = at->next) {
    if (!pcap::is_capture_device(at->name)) continue;
    devices.push_back({.target = at->name,
                       .description = at->description != nullptr ? at->description : "",
                       .up = (at->flags & kPcapUp) != 0,
                       .loopback = (at->flags & kPcapLoopback) != 0});
  }
  library->freealldevs(list);
  return devices;
}

}  // namespace ringtap
