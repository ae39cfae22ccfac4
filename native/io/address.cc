#include "io/address.h"

#include <netdb.h>

#include <cstring>
#include <memory>

namespace ringtap {
namespace {

// SAFETY: only for storage of this family.
const sockaddr_in& v4(const Address& address) noexcept { return reinterpret_cast<const sockaddr_in&>(address.storage); }
const sockaddr_in6& v6(const Address& address) noexcept {
  return reinterpret_cast<const sockaddr_in6&>(address.storage);
}

}  // namespace

uint16_t Address::port() const noexcept {
  return ntohs(family() == AF_INET6 ? v6(*this).sin6_port : v4(*this).sin_port);
}

bool Address::same_host(const Address& other) const noexcept {
  if (family() != other.family()) return false;
  if (family() == AF_INET6) return std::memcmp(&v6(*this).sin6_addr, &v6(other).sin6_addr, sizeof(in6_addr)) == 0;
  return v4(*this).sin_addr.s_addr == v4(other).sin_addr.s_addr;
}

Result<Address> address_of(const std::string& text, uint16_t port) {
  addrinfo wanted{};
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int fault = getaddrinfo(text.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (fault != 0) return Error{.code = Code::kBadOption, .message = text + " is no address: " + gai_strerror(fault)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  Address address;
  address.bytes = found->ai_addrlen;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  return address;
}

}  // namespace ringtap
