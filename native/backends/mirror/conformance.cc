#include "test/conformance.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string>

#include "backends/mirror/mirror.h"
#include "core/unique_fd.h"

#ifndef UDP_SEGMENT
constexpr int UDP_SEGMENT = 103;
#endif

namespace ringtap::test {
namespace {

struct Kind {
  const char* name;
  uint16_t port;  // 0: by IP protocol
  std::vector<uint8_t> header;
};

const Kind kKinds[] = {
    {"vxlan", 14789, {8, 0, 0, 0, 0, 0x12, 0x67, 0}},
    {"geneve", 16081, {1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 8, 1, 0}},
    {"tzsp", 37108, {1, 0, 0, 1, 10, 1, 200, 1}},
    {"gre", 0, {0x20, 0, 0x65, 0x58, 0, 0, 0, 42}},
    {"erspan", 0, {0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 101, 0, 0, 0, 0}},
};

Bytes datagram_of(const Kind& kind, uint64_t number) {
  Bytes datagram;
  for (const uint8_t byte : kind.header) datagram.push_back(static_cast<std::byte>(byte));
  const Bytes frame = numbered_frame(number);
  datagram.insert(datagram.end(), frame.begin(), frame.end());
  return datagram;
}

/// @param joins datagrams leave in pairs, which stay joined up to a socket that has UDP GRO
Fixture mirror(const Kind& kind, bool joins = false) {
  struct State {
    UniqueFd sender;
    uint64_t sent = 0;
  };
  auto state = std::make_shared<State>();
  Fixture fixture;
  fixture.name = std::string("mirror (") + kind.name + (joins ? ", joined)" : ")");
  fixture.open = [state, kind](Options options) {
    options.set("kind", std::string(kind.name));
    options.set("bufferBytes", 96.0 * (1 << 20));
    const bool is_raw = kind.port == 0;
    *state = {.sender = UniqueFd(is_raw ? ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_GRE)
                                        : ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
    const std::string target = is_raw ? "127.0.0.1" : "127.0.0.1:" + std::to_string(kind.port);
    return open_mirror({.uri = std::string(kind.name) + "://" + target, .target = target, .options = options});
  };
  fixture.feed = [state, kind, joins](uint32_t n) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kind.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (uint32_t i = 0; i < n; i++) {
      Bytes datagram = datagram_of(kind, state->sent++);
      const Bytes next = datagram_of(kind, state->sent);
      const int piece = joins && i + 1 < n && next.size() <= datagram.size() ? static_cast<int>(datagram.size()) : 0;
      if (joins) REQUIRE(setsockopt(state->sender.get(), SOL_UDP, UDP_SEGMENT, &piece, sizeof piece) == 0);
      if (piece > 0) {
        datagram.insert(datagram.end(), next.begin(), next.end());
        state->sent++;
        i++;
      }
      // SAFETY: an address of IPv4 begins as every address does.
      const ssize_t sent = sendto(state->sender.get(), datagram.data(), datagram.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&to), sizeof to);
      REQUIRE(sent == static_cast<ssize_t>(datagram.size()));
    }
    return n;
  };
  return fixture;
}

}  // namespace

/// In a lab alone: elsewhere the loopback is the host's, and raw sockets need a right.
std::vector<Fixture> fixtures() {
  std::vector<Fixture> all;
  for (const Kind& kind : kKinds) {
    if (kind.port != 0) all.push_back(mirror(kind, true));
    if (kind.port != 0 || std::getenv("RINGTAP_LAB") != nullptr) all.push_back(mirror(kind));
  }
  return all;
}

}  // namespace ringtap::test
