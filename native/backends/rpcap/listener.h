// The port that a daemon connects to, where it is the daemon who opens the way for packets.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/unique_fd.h"
#include "io/address.h"

namespace ringtap::rpcap {

struct Listener {
  UniqueFd fd;
  uint16_t port = 0;

  /// At an address of ours, in numbers; the kernel chooses the port.
  static Result<Listener> at(const std::string& local);

  /// The connection that this host has made; none where it has not come yet. Those of others are closed.
  UniqueFd accept_from(const Address& host) const noexcept;
};

}  // namespace ringtap::rpcap
