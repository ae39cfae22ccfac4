// What a trace holds beside packets, and what reads them needs.
#pragma once

#include <cstdint>
#include <string>

namespace ringtap {

/// A block of a pcapng trace: names of addresses, or what decrypts packets.
struct TraceBlock {
  uint32_t type = 0;      // as pcapng numbers them
  std::string body = {};  // in this host's byte order, padded to 4 bytes
};

}  // namespace ringtap
