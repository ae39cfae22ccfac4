// What the kernel says about an interface before XDP is attached to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"

namespace ringtap::afxdp {

struct Device {
  int index = 0;
  std::string name;  // the kernel's own, where an alternative one was given
  uint32_t mtu = 1500;
  uint32_t queues = 1;  // RX queues in use
  bool up = false;
};

/// Errors: NO_INTERFACE, SYSTEM.
Result<Device> query_device(const std::string& name, const std::string& uri);

enum class LinkState : uint8_t { kUp, kDown, kGone };
LinkState link_state(int index);

/// RX queues in use now; nothing when the interface is gone.
std::optional<uint32_t> rx_queues(int index);

}  // namespace ringtap::afxdp
