#include "backends/rpcap/rpcap.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "backends/rpcap/source.h"
#include "core/clock.h"
#include "core/link_type.h"

namespace ringtap {

Result<std::unique_ptr<Source>> open_rpcap(const OpenRequest& request) {
  const Options& options = request.options;
  const int64_t buffer = options.integer("bufferBytes", 64 << 20);
  auto arena = Arena::allocate(static_cast<uint64_t>(buffer), kMaxSnaplen);
  if (!arena) return std::move(arena).error();
  const bool active = options.flag("active");
  // WHY: a thousand daemons may have connected, most of which send little.
  if (active) madvise(arena->region()->base(), arena->region()->bytes(), MADV_NOHUGEPAGE);
  SourceInfo info;
  info.mode = "remote";
  info.copies = true;
  info.timestamp_source = "remote";
  info.epoch_ns = epoch_now_ns();
  info.link_type = static_cast<uint32_t>(options.integer("linkType", kLinkEthernet));
  info.snaplen = static_cast<uint32_t>(std::clamp<int64_t>(options.integer("snaplen", kMaxSnaplen), 1, kMaxSnaplen));
  info.max_leases = arena->chunks();
  info.segments = {{arena->region(), arena->region()->base(), arena->region()->bytes()}};
  rpcap::RpcapSource::Setup setup{.local = options.text("local"),
                                  .peer = options.text("peer"),
                                  .datagrams = options.text("transport") == "udp",
                                  .awaits = active,
                                  .big_endian = options.flag("bigEndian"),
                                  .buffer_bytes = buffer,
                                  .patience = std::chrono::milliseconds(options.integer("replyMs", 5000)),
                                  .trains = options.flag("offersZstd") && options.text("compression") == "zstd",
                                  .recovery_patience = std::chrono::milliseconds(options.integer("recoveryMs", 1000))};
  for (const auto& [wanted, offered, what] : {
           std::tuple{options.flag("recovery"), "offersRecovery", "sends lost datagrams again"},
           std::tuple{options.text("compression") == "zstd", "offersZstd", "compresses datagrams"},
       }) {
    if (wanted && !options.flag(offered))
      info.notes.push_back(std::string("the daemon is not one that ") + what + ", or was not told to");
  }
  auto source = std::make_unique<rpcap::RpcapSource>(std::move(info), *std::move(arena), std::move(setup));
  if (auto prepared = source->prepare(); !prepared) return std::move(prepared).error();
  return std::unique_ptr<Source>(std::move(source));
}

Probe probe_rpcap() { return {.detail = "rpcap and udpstr, passive and active mode"}; }

// Whose they are is asked for by host: devices('rpcap://host').
std::vector<Device> devices_rpcap() { return {}; }

}  // namespace ringtap
