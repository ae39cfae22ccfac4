// DPDK's environment: one per process, started by the first capture and never stopped.
#pragma once

#include <string>
#include <vector>

#include "backends/dpdk/module/patience.h"
#include "core/error.h"

namespace ringtap::dpdk {

struct EalRequest {
  std::string uri;
  std::string pci;  // PCI address of the port, empty for virtual devices
  enum class Huge { kAuto, kRequire, kOff } huge = Huge::kAuto;
  std::string arguments;     // the option `eal`
  Cancelled cancelled = {};  // nobody waits for it any more
};

/// Starts EAL, or finds that it runs. A failure that DPDK can recover from leaves the next call another try.
Result<Ok> start_eal(const EalRequest& request);

/// What the plan says about EAL. After start_eal() only.
std::vector<std::string> eal_notes();

/// Whether EAL was started for PCI devices.
bool eal_has_pci();

}  // namespace ringtap::dpdk
