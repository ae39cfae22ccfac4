#include "backends/dpdk/module/module.h"

#include <rte_version.h>

#include "backends/dpdk/module/pci.h"
#include "backends/dpdk/module/source.h"

namespace ringtap::dpdk {

namespace {

/// Inline functions of DPDK's headers are compiled in, so that the libraries must be of the same release.
std::optional<Error> mixed_versions() {
  if (rte_version_year() == RTE_VER_YEAR && rte_version_month() == RTE_VER_MONTH) return std::nullopt;
  return Error{.code = Code::kBackendMissing,
               .message = std::string("dpdk: built with ") + RTE_VER_PREFIX + " " + std::to_string(RTE_VER_YEAR) +
                          (RTE_VER_MONTH < 10 ? ".0" : ".") + std::to_string(RTE_VER_MONTH) +
                          ", but the libraries are " + rte_version(),
               .hint = "Rebuild against the DPDK that is installed: npm rebuild ringtap --build-from-source"};
}

}  // namespace

Probe probe_ports() {
  if (auto mixed = mixed_versions()) return {.available = false, .error = std::move(mixed), .detail = rte_version()};
  return {.detail = rte_version()};
}

Result<std::unique_ptr<Source>> open_port(const OpenRequest& request) {
  if (auto mixed = mixed_versions()) return *std::move(mixed);
  return PortSource::open(request);
}

std::vector<Device> list_ports() {
  std::vector<Device> devices;
  for (const PciNic& nic : pci_nics()) {
    if (nic.for_dpdk()) devices.push_back({.target = nic.address, .description = "bound to " + nic.driver});
  }
  return devices;
}

}  // namespace ringtap::dpdk
