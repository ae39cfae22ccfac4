// A TCP connection that somebody may give up waiting for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/remote.h"
#include "core/unique_fd.h"

namespace ringtap::rpcap {

struct TcpConnection final : Remote::Connection {
  explicit TcpConnection(UniqueFd connected) : fd(std::move(connected)) {}
  UniqueFd fd;
};

/// Connects to an address in numbers; waits, for as long as `patience` says or until `given_up` is set.
Result<std::shared_ptr<Remote::Connection>> connect_to(const std::string& address, uint16_t port,
                                                       std::chrono::milliseconds patience,
                                                       const std::atomic<bool>& given_up);

}  // namespace ringtap::rpcap
