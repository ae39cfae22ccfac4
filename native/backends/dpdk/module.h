// Between the addon, which has no DPDK in it, and ringtap_dpdk.so, which is linked with DPDK and lies beside it.
#pragma once

#include "core/source.h"

namespace ringtap::dpdk {

#ifdef RINGTAP_CONTRACT
/// What both were built from (a hash of this header and those of native/core) and with: a std::string of one standard
/// library is no std::string to another, and a prebuilt addon has libc++ where compilers of Linux have libstdc++.
#ifdef _LIBCPP_VERSION
inline constexpr uint64_t kContract = RINGTAP_CONTRACT ^ _LIBCPP_ABI_VERSION;
#else
inline constexpr uint64_t kContract = RINGTAP_CONTRACT;
#endif
#endif

struct Module {
  /// kContract of its build.
  uint64_t contract;
  Probe (*probe)();
  Result<std::unique_ptr<Source>> (*open)(const OpenRequest& request);
  std::vector<Device> (*devices)();
};

/// Name of the function that returns the module's table.
inline constexpr const char* kModuleEntry = "ringtap_dpdk_module";
using ModuleEntry = const Module* (*)();

}  // namespace ringtap::dpdk
