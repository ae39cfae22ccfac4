// Arbitrary bytes for one protocol: as datagrams, or as a stream in pieces with gaps; what it says is always JSON
// lines.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "protocol/told.h"

namespace ringtap::protocol {

inline void fuzz_watcher(const Protocol& protocol, const uint8_t* data, size_t size) {
  const auto watcher = protocol.watch();
  Told told;
  while (size > 1) {
    const size_t count = std::min<size_t>(data[1], size - 2);
    const auto exact = std::make_unique<std::byte[]>(count);
    if (count > 0) std::memcpy(exact.get(), data + 2, size < 2 ? 0 : count);
    watcher->packet({.bytes = {exact.get(), count},
                     .is_cut = (data[0] & 1) != 0,
                     .ip_version = static_cast<uint8_t>((data[0] & 2) != 0 ? 6 : 4)},
                    told);
    data += 2 + count;
    size -= 2 + count;
  }
}

/// The first byte says how they come; then pieces, each behind a byte that says whose it is, and two of its length.
inline void fuzz_protocol(const Protocol& protocol, const uint8_t* data, size_t size) {
  if (protocol.watch != nullptr) return fuzz_watcher(protocol, data, size);
  if (size == 0) return;
  const uint8_t how = *data++;
  size--;
  const bool is_tcp = protocol.on_tcp && (!protocol.on_udp || (how & 1) != 0);
  const Meeting meeting{.client_port = 40000,
                        .server_port = static_cast<uint16_t>((how & 2) != 0   ? 53
                                                             : (how & 4) != 0 ? 5353
                                                                              : 8080),
                        .is_tcp = is_tcp};
  Talking talking(protocol, meeting);
  int64_t now = 1'700'000'000'000'000'000;
  while (size > 2) {
    const Side side = (data[0] & 1) != 0 ? Side::kServer : Side::kClient;
    const size_t count = std::min<size_t>(data[1] | (data[0] & 0x0e) << 7, size - 2);
    // Exactly the bytes: reading beyond them is seen.
    const auto exact = std::make_unique<std::byte[]>(count);
    if (count > 0) std::memcpy(exact.get(), data + 2, count);
    const Span bytes{exact.get(), count};
    Meeting met = meeting;
    met.side = side;
    protocol.match(bytes, met);
    talking.told.set_now(now += 1'000'000);
    if ((data[0] & 0x70) == 0x70) {
      if (!talking.lose(side, count)) break;
    } else if (!talking.say(side, bytes, (data[0] & 0x80) != 0)) {
      break;
    }
    data += 2 + count;
    size -= 2 + count;
  }
  talking.end();
  for (const std::string& line : talking.told.lines()) {
    if (line.find('\n') != std::string::npos || line.back() != '}') std::abort();
  }
}

}  // namespace ringtap::protocol

/// A fuzz target of a folder: RINGTAP_FUZZ_PROTOCOL(dns).
#define RINGTAP_FUZZ_PROTOCOL(name)                                                   \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {           \
    ringtap::protocol::fuzz_protocol(ringtap::protocol::name::kProtocol, data, size); \
    return 0;                                                                         \
  }
