#include "test/conformance.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/rpcap/rpcap.h"
#include "core/remote.h"
#include "core/unique_fd.h"

namespace ringtap::test {
namespace {

void put(Bytes& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(value >> shift));
}

/// A packet as the daemon sends it, without the message around it.
void put_packet(Bytes& out, uint64_t number) {
  const Bytes frame = numbered_frame(number);
  const auto size = static_cast<uint32_t>(frame.size());
  for (const uint32_t field : {1'700'000'000u, 0u, size, size, static_cast<uint32_t>(number) + 1}) put(out, field);
  out.insert(out.end(), frame.begin(), frame.end());
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// SAFETY: an address of IPv4 begins as every address does.
const sockaddr* as_address(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<std::unique_ptr<Source>> open_local(Options options, const char* transport) {
  options.set("transport", std::string(transport));
  options.set("local", std::string("127.0.0.1"));
  options.set("peer", std::string("127.0.0.1"));
  return open_rpcap({.uri = "rpcap://127.0.0.1/test", .target = "127.0.0.1/test", .options = std::move(options)});
}

/// Messages on a connection, as most daemons send them.
Fixture stream() {
  struct State {
    UniqueFd daemon;
    uint64_t sent = 0;
  };
  auto state = std::make_shared<State>();
  Fixture fixture;
  fixture.name = "rpcap (tcp)";
  fixture.open = [state](Options options) -> Result<std::unique_ptr<Source>> {
    auto source = open_local(std::move(options), "tcp");
    if (!source) return source;
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    REQUIRE(bind(listener.get(), as_address(address), sizeof address) == 0);
    REQUIRE(listen(listener.get(), 1) == 0);
    socklen_t size = sizeof address;
    // SAFETY: an address of IPv4 begins as every address does.
    REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    Remote& remote = *(*source)->remote();
    auto connection = remote.connecting(ntohs(address.sin_port))();
    REQUIRE(connection);
    REQUIRE(remote.attach(*connection));
    *state = {.daemon = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
    const int room = 8 << 20;
    setsockopt(state->daemon.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    return source;
  };
  fixture.feed = [state](uint32_t n) {
    Bytes out;
    for (uint32_t i = 0; i < n; i++) {
      Bytes packet;
      put_packet(packet, state->sent++);
      put(out, 7u << 16);
      put(out, static_cast<uint32_t>(packet.size()));
      out.insert(out.end(), packet.begin(), packet.end());
    }
    REQUIRE(send(state->daemon.get(), out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size()));
    return n;
  };
  return fixture;
}

/// Datagrams that packets run through.
Fixture datagrams() {
  struct State {
    UniqueFd daemon;
    sockaddr_in to;
    uint64_t sent = 0;
    uint32_t datagrams = 0;
  };
  auto state = std::make_shared<State>();
  Fixture fixture;
  fixture.name = "rpcap (udpstr)";
  fixture.open = [state](Options options) -> Result<std::unique_ptr<Source>> {
    options.set("bufferBytes", 16.0 * (1 << 20));
    auto source = open_local(std::move(options), "udp");
    if (!source) return source;
    *state = {.daemon = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
              .to = loopback((*source)->remote()->port())};
    return source;
  };
  fixture.feed = [state](uint32_t n) {
    constexpr size_t kMost = 1472 - 8;
    Bytes body;
    size_t first = 0;  // where the first packet of the next datagram begins
    const auto send_some = [&](size_t length) {
      Bytes datagram;
      put(datagram, 110u << 16 | (first < length ? static_cast<uint32_t>(first) + 8 : 0xffff));
      put(datagram, state->datagrams++);
      datagram.insert(datagram.end(), body.begin(), body.begin() + static_cast<ptrdiff_t>(length));
      body.erase(body.begin(), body.begin() + static_cast<ptrdiff_t>(length));
      const ssize_t sent =
          sendto(state->daemon.get(), datagram.data(), datagram.size(), 0, as_address(state->to), sizeof state->to);
      REQUIRE(sent == static_cast<ssize_t>(datagram.size()));
    };
    for (uint32_t i = 0; i < n; i++) {
      // No header of a packet is cut.
      if (body.size() + 20 > kMost) {
        send_some(body.size());
        first = 0;
      }
      put_packet(body, state->sent++);
      if (body.size() <= kMost) continue;
      const size_t rest = body.size() - kMost;
      send_some(kMost);
      first = rest;
    }
    if (!body.empty()) send_some(body.size());
    return n;
  };
  return fixture;
}

}  // namespace

std::vector<Fixture> fixtures() { return {stream(), datagrams()}; }

}  // namespace ringtap::test
