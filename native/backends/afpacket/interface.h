// What the kernel says about an interface before it is captured.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"

namespace ringtap::afpacket {

struct Interface {
  int index = 0;  // 0 is every interface ("any")
  uint32_t link_type = 0;
  bool cooked = false;  // no link-level header of its own: SOCK_DGRAM and an SLL2 header that we write
  bool up = true;
  bool loopback = false;
};

/// `fd` is any socket. `uri` is for messages.
Result<Interface> query_interface(int fd, const std::string& name, const std::string& uri);

/// Asks the NIC to stamp every received frame. Returns errno, 0 on success.
int enable_hardware_timestamps(int fd, const std::string& name);

}  // namespace ringtap::afpacket
