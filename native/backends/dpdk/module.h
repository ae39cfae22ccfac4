// Between the addon, which has no DPDK in it, and ringtap_dpdk.so, which is linked with DPDK and lies beside it.
#pragma once

#include "core/source.h"

namespace ringtap::dpdk {

struct Module {
  /// RINGTAP_CONTRACT of the tree that it was built from: a hash of this header and those of native/core.
  uint64_t contract;
  Probe (*probe)();
  Result<std::unique_ptr<Source>> (*open)(const OpenRequest& request);
  std::vector<Device> (*devices)();
};

/// Name of the function that returns the module's table.
inline constexpr const char* kModuleEntry = "ringtap_dpdk_module";
using ModuleEntry = const Module* (*)();

}  // namespace ringtap::dpdk
