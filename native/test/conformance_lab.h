// Sending in a lab: scripts/lab.mjs makes a network namespace with the veth pair rt0 (send) ↔ rt1 (capture).
#pragma once

#include <doctest/doctest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/unique_fd.h"
#include "test/conformance.h"

namespace ringtap::test {

inline bool in_lab() { return std::getenv("RINGTAP_LAB") != nullptr; }
inline const std::string kSendHere = "rt0";
inline const std::string kCaptureHere = "rt1";

class Sender {
 public:
  explicit Sender(const std::string& interface) : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    address_.sll_family = AF_PACKET;
    address_.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    REQUIRE(fd_.get() >= 0);
    REQUIRE(address_.sll_ifindex > 0);
  }

  void send(const Bytes& frame) {
    // SAFETY: sendto() takes every address family through sockaddr.
    const auto* to = reinterpret_cast<const sockaddr*>(&address_);
    while (sendto(fd_.get(), frame.data(), frame.size(), 0, to, sizeof address_) < 0) REQUIRE(errno == ENOBUFS);
    // The veth's receive queue holds 1,000 packets: let the soft interrupt that empties it run.
    if (++sent_ % 64 == 0) std::this_thread::yield();
  }

  void send_numbered(uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) send(numbered_frame(first + i));
  }

 private:
  UniqueFd fd_;
  sockaddr_ll address_{};
  uint64_t sent_ = 0;
};

/// Captures rt1 with a backend and sends on rt0. Without a lab there is no such fixture.
inline std::vector<Fixture> live_fixtures(const char* backend,
                                          Result<std::unique_ptr<Source>> (*open)(const OpenRequest&),
                                          std::optional<double> buffer_bytes = {}) {
  if (!in_lab()) return {};
  struct State {
    Sender sender{kSendHere};
    uint64_t next = 0;
  };
  auto state = std::make_shared<State>();
  Fixture fixture;
  fixture.name = backend;
  fixture.open = [=](Options options) {
    state->next = 0;
    if (buffer_bytes) options.set("bufferBytes", *buffer_bytes);
    return open({.uri = backend + (":" + kCaptureHere), .target = kCaptureHere, .options = std::move(options)});
  };
  fixture.feed = [=](uint32_t n) {
    state->sender.send_numbered(state->next, n);
    state->next += n;
    return n;
  };
  return {fixture};
}

}  // namespace ringtap::test
