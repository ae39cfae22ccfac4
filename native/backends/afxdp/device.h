// What the kernel says about an interface before XDP is attached to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"
#include "linux/interface.h"

namespace ringtap::afxdp {

struct Device : Interface {
  uint32_t queues = 1;  // RX queues in use
};

/// Errors: NO_INTERFACE, SYSTEM.
Result<Device> query_device(const std::string& name, const std::string& uri);

/// RX queues in use now; nothing when the interface is gone.
std::optional<uint32_t> rx_queues(int fd, int index);

}  // namespace ringtap::afxdp
