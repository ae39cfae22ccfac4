#include "backends/mirror/endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "core/byte_order.h"

namespace ringtap::mirror {
namespace {

// SAFETY: only for storage of this family.
const sockaddr_in& v4(const sockaddr_storage& storage) noexcept {
  return reinterpret_cast<const sockaddr_in&>(storage);
}
const sockaddr_in6& v6(const sockaddr_storage& storage) noexcept {
  return reinterpret_cast<const sockaddr_in6&>(storage);
}

std::optional<uint16_t> port_of(const std::string& text) {
  uint16_t port = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

Error bad(const std::string& what) {
  return {.code = Code::kBadUri,
          .message = what,
          .hint =
              "Write an address of this host in numbers, or 0.0.0.0 for all of them: vxlan://0.0.0.0:4789, "
              "geneve://[::]:6081, gre://0.0.0.0."};
}

}  // namespace

void Endpoint::set_port(uint16_t port) noexcept {
  // SAFETY: storage holds an address of its family.
  if (family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
  }
}

std::string Endpoint::text() const {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  getnameinfo(get(), bytes, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  const std::string address = family() == AF_INET6 ? "[" + std::string(host) + "]" : host;
  return std::strcmp(port, "0") == 0 ? address : address + ":" + port;
}

Result<Endpoint> endpoint_of(std::string text, uint16_t port) {
  const std::string whole = text;
  if (text.substr(0, 2) == "//") text.erase(0, 2);
  if (text.empty()) text = "0.0.0.0";
  std::string given;
  if (text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string::npos) return bad("\"" + whole + "\" lacks a ]");
    given = text.substr(close + 1);
    text = text.substr(1, close - 1);
  } else if (const size_t colon = text.find(':'); colon != std::string::npos && colon == text.rfind(':')) {
    given = text.substr(colon);
    text.resize(colon);
  }
  if (!given.empty()) {
    const auto number = given.front() == ':' ? port_of(given.substr(1)) : std::nullopt;
    if (!number) return bad("\"" + whole + "\" has no port from 1 to 65535");
    if (port == 0) return bad("\"" + whole + "\": GRE and ERSPAN have no ports");
    port = *number;
  }
  addrinfo wanted{};
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int fault = getaddrinfo(text.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (fault != 0) return bad("\"" + text + "\" is no address in numbers");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  Endpoint endpoint;
  endpoint.bytes = found->ai_addrlen;
  std::memcpy(&endpoint.storage, found->ai_addr, found->ai_addrlen);
  return endpoint;
}

bool put_source(const sockaddr_storage& from, uint32_t (&source)[4]) noexcept {
  std::memset(source, 0, sizeof source);
  if (from.ss_family == AF_INET) {
    source[0] = ntohl(v4(from).sin_addr.s_addr);
    return false;
  }
  if (from.ss_family != AF_INET6) return false;
  const in6_addr& address = v6(from).sin6_addr;
  // SAFETY: an address is 16 bytes.
  const auto* bytes = reinterpret_cast<const std::byte*>(&address);
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    source[0] = load_big<uint32_t>(bytes + 12);
    return false;
  }
  for (size_t i = 0; i < 4; i++) source[i] = load_big<uint32_t>(bytes + i * 4);
  return true;
}

}  // namespace ringtap::mirror
