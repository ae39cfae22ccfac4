// A module like ringtap_dpdk.so, built from another tree.
#include <cstdlib>

#include "backends/dpdk/module.h"

extern "C" __attribute__((visibility("default"))) const ringtap::dpdk::Module* ringtap_dpdk_module() {
  // Whoever calls them reads structures that are not what they seem.
  static constexpr ringtap::dpdk::Module table = {
      .contract = 2,
      .probe = []() -> ringtap::Probe { std::abort(); },
      .open = [](const ringtap::OpenRequest&) -> ringtap::Result<std::unique_ptr<ringtap::Source>> { std::abort(); },
      .devices = []() -> std::vector<ringtap::Device> { std::abort(); },
  };
  return &table;
}
