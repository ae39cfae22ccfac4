// The socket that mirrored packets arrive at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/mirror/endpoint.h"
#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap::mirror {

struct SocketSetup {
  Endpoint endpoint;
  std::string name;     // of the kind, for messages
  bool is_raw = false;  // GRE, by IP protocol; else UDP
  bool shares = false;
  int64_t buffer_bytes = 0;
};

struct Socket {
  UniqueFd fd;
  int64_t buffer_bytes = 0;  // what the kernel gave
  std::vector<std::string> notes;
};

/// Bound, non-blocking, with kernel time stamps, and for UDP with GRO.
Result<Socket> open_socket(const SocketSetup& setup);

/// Packets that the kernel had no room for since the socket was opened, modulo 2^32.
uint32_t kernel_drops(int fd) noexcept;

}  // namespace ringtap::mirror
