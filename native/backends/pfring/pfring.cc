#include "backends/pfring/pfring.h"

#include <algorithm>
#include <iterator>

#include "backends/pfring/library.h"
#include "backends/pfring/library_source.h"
#include "backends/pfring/ring_source.h"
#include "backends/pfring/socket.h"
#include "backends/pfring/zc_source.h"
#include "linux/list.h"

namespace ringtap {

namespace {

using namespace pfring;

/// In the order of the module's numbers.
constexpr const char* kClusterModes[] = {"flow", "round-robin", "2-tuple", "4-tuple", "5-tuple", "tcp-5-tuple"};

Settings settings_of(const OpenRequest& request, Target target) {
  const Options& options = request.options;
  Settings settings{.target = std::move(target)};
  settings.snaplen = static_cast<uint32_t>(std::clamp<int64_t>(options.integer("snaplen", kMaxCaplen), 14, kMaxCaplen));
  settings.purpose = request.purpose;
  settings.promiscuous = options.flag("promiscuous", true) && request.purpose != Purpose::kExplain;
  settings.direction = requested_direction(options);
  settings.cluster = static_cast<uint16_t>(options.integer("share"));
  const std::string mode = options.text("shareMode", "flow");
  settings.cluster_mode = static_cast<uint32_t>(
      std::distance(std::begin(kClusterModes), std::find(std::begin(kClusterModes), std::end(kClusterModes), mode)));
  settings.watermark = static_cast<uint16_t>(options.integer("watermark", 1));
  settings.hardware_time = options.text("timestamp", "auto") == "hardware";
  settings.name = options.text("appName", "ringtap");
  settings.batch_size = static_cast<uint32_t>(std::max<int64_t>(1, options.integer("batchSize", 256)));
  settings.gather_ms = static_cast<uint32_t>(options.integer("timeoutMs", 1));
  settings.uri = request.uri;
  return settings;
}

Result<std::unique_ptr<Source>> open_library(Settings settings) {
  const Library* found = library();
  if (found == nullptr) return library_missing(settings.uri);
  if (settings.target.kind == Target::Kind::kZeroCopy) return ZcSource::open(*found, std::move(settings));
  return LibrarySource::open(*found, std::move(settings));
}

/// The kernel's own ring, if we can read it; the library, which fits the module, otherwise.
Result<std::unique_ptr<Source>> open_ring(Settings settings, bool strict) {
  auto ring = RingSource::open(settings);
  if (ring || strict || ring.error().code != Code::kUnsupported || library() == nullptr) return ring;
  settings.notes.push_back("the kernel's ring is not used: " + ring.error().message);
  auto through = open_library(std::move(settings));
  if (!through) return ring;
  return through;
}

}  // namespace

Result<std::unique_ptr<Source>> open_pfring(const OpenRequest& request) {
  auto target = parse_target(request.target, request.uri);
  if (!target) return std::move(target).error();
  if (auto named = name_queue(*target, request.options.list("queues"), request.uri); !named) {
    return std::move(named).error();
  }
  Settings settings = settings_of(request, *std::move(target));
  if (settings.name.size() > kApplicationNameBytes) {
    return Error{
        .code = Code::kBadOption,
        .message = request.uri + ": appName is longer than " + std::to_string(kApplicationNameBytes) + " bytes"};
  }
  if (settings.cluster_mode >= std::size(kClusterModes)) {
    return Error{.code = Code::kBadOption, .message = request.uri + ": shareMode is not one that PF_RING has"};
  }
  if (settings.cluster != 0 && settings.target.any()) {
    return Error{.code = Code::kBadOption,
                 .message = request.uri + ": a cluster shares the packets of interfaces that it names, not of any"};
  }
  if (auto missing = module_missing(request.uri)) return *std::move(missing);
  const std::string path = request.options.text("path", "auto");
  if (settings.target.kind != Target::Kind::kDevices) {
    if (path == "ring") {
      return Error{.code = Code::kBadOption,
                   .message = request.uri + ": path=ring is for ordinary interfaces; stack: and zc: need the library"};
    }
    return open_library(std::move(settings));
  }
  if (path == "library") return open_library(std::move(settings));
  return open_ring(std::move(settings), path == "ring");
}

Probe probe_pfring() {
  Probe probe;
  auto missing = module_missing("pfring");
  if (!missing) missing = right_missing("pfring");
  if (missing) {
    probe.available = false;
    probe.error = std::move(missing);
    return probe;
  }
  probe.detail = library() != nullptr ? "module and library" : "module, without libpfring: no stack: and zc:";
  return probe;
}

std::vector<Device> devices_pfring() {
  std::vector<Device> devices;
  if (module_missing("pfring")) return devices;
  for (const Interface& interface : list_interfaces()) {
    if (interface.name.find_first_of("@,") != std::string::npos) continue;  // it would mean a queue, or two interfaces
    devices.push_back({.target = interface.name, .up = interface.up, .loopback = interface.loopback});
  }
  devices.push_back({.target = "any", .description = "every Ethernet interface"});
  return devices;
}

}  // namespace ringtap
