// Between the addon, which has no DPDK in it, and ringtap_dpdk.so, which is linked with DPDK and lies beside it.
#pragma once

#include "core/source.h"

namespace ringtap::dpdk {

/// Grows with every change of this header or of the contract in native/core: both are built from one tree.
inline constexpr uint32_t kModuleVersion = 2;

struct Module {
  uint32_t version;
  Probe (*probe)();
  Result<std::unique_ptr<Source>> (*open)(const OpenRequest& request);
  std::vector<Device> (*devices)();
};

/// Name of the function that returns the module's table.
inline constexpr const char* kModuleEntry = "ringtap_dpdk_module";
using ModuleEntry = const Module* (*)();

}  // namespace ringtap::dpdk
