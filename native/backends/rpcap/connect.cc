#include "backends/rpcap/connect.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/address.h"

namespace ringtap::rpcap {
namespace {

constexpr std::chrono::milliseconds kLook{50};

Error cannot_connect(const std::string& where, int err) {
  Error error =
      system_error(Code::kRemoteUnreachable, "no connection to the daemon's data port, " + where, "connect", err);
  error.hint =
      "The daemon chooses this port. Let a firewall pass it, start the daemon with a port for data, or take "
      "transport=udp.";
  return error;
}

}  // namespace

Result<std::shared_ptr<Remote::Connection>> connect_to(const std::string& address, uint16_t port,
                                                       std::chrono::milliseconds patience,
                                                       const std::atomic<bool>& given_up) {
  using Clock = std::chrono::steady_clock;
  auto to = address_of(address, port);
  if (!to) return std::move(to).error();
  const std::string where = address + " port " + std::to_string(port);
  UniqueFd socket(::socket(to->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error(Code::kSystem, "no socket for the packets", "socket", errno);
  if (connect(socket.get(), to->get(), to->bytes) != 0 && errno != EINPROGRESS) return cannot_connect(where, errno);
  const auto deadline = Clock::now() + patience;
  for (;;) {
    pollfd waiting{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    if (poll(&waiting, 1, static_cast<int>(kLook.count())) > 0) break;
    if (given_up.load(std::memory_order_relaxed))
      return Error{.code = Code::kClosed, .message = "opening was given up"};
    if (Clock::now() > deadline) return cannot_connect(where, ETIMEDOUT);
  }
  int fault = 0;
  socklen_t size = sizeof fault;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &fault, &size);
  if (fault != 0) return cannot_connect(where, fault);
  return std::shared_ptr<Remote::Connection>(std::make_shared<TcpConnection>(std::move(socket)));
}

}  // namespace ringtap::rpcap
