// The one symbol of ringtap_dpdk.so.
#include "backends/dpdk/module/module.h"

extern "C" __attribute__((visibility("default"))) const ringtap::dpdk::Module* ringtap_dpdk_module() {
  static constexpr ringtap::dpdk::Module table = {
      .contract = ringtap::dpdk::kContract,
      .probe = ringtap::dpdk::probe_ports,
      .open = ringtap::dpdk::open_port,
      .devices = ringtap::dpdk::list_ports,
  };
  return &table;
}
