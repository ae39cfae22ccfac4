// Addresses in numbers.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "core/error.h"

namespace ringtap {

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  int family() const noexcept { return storage.ss_family; }
  // SAFETY: storage holds an address of its family, and sockaddr_storage is aligned for each of them.
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }

  uint16_t port() const noexcept;
  /// The same host, whatever the port.
  bool same_host(const Address& other) const noexcept;
};

/// Of an IPv4 or IPv6 address as text; asks no name server.
Result<Address> address_of(const std::string& text, uint16_t port);

}  // namespace ringtap
