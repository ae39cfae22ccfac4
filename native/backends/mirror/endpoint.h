// Where a mirror sends to.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "core/error.h"

namespace ringtap::mirror {

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  int family() const noexcept { return storage.ss_family; }
  // SAFETY: storage holds an address of its family, and sockaddr_storage is aligned for each of them.
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  void set_port(uint16_t port) noexcept;
  std::string text() const;
};

/// `address`, `address:port` or `[address]:port`, all in numbers; asks no name server. Nothing but `//` is every
/// address.
/// @param port where none is given; 0: there are no ports, and one that is given is refused
Result<Endpoint> endpoint_of(std::string text, uint16_t port);

/// An address as a row of tunnels tells it; true for IPv6. One of IPv4 that came to an IPv6 socket is IPv4.
bool put_source(const sockaddr_storage& from, uint32_t (&source)[4]) noexcept;

}  // namespace ringtap::mirror
