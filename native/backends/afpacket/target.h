// What is captured: an interface, or every one.
#pragma once

#include <cstdint>
#include <string>

#include "linux/interface.h"

namespace ringtap::afpacket {

struct Target : Interface {  // with index 0 it is every interface ("any")
  uint32_t link_type = 0;
  bool cooked = false;  // no link-level header of its own: SOCK_DGRAM and an SLL2 header that we write
};

/// `fd` is any socket. `uri` is for messages. Errors: NO_INTERFACE, SYSTEM.
Result<Target> query_target(int fd, const std::string& name, const std::string& uri);

}  // namespace ringtap::afpacket
