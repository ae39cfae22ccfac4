#include "backends/rpcap/listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace ringtap::rpcap {
namespace {

// Who is no daemon of ours must not keep ours out for long.
constexpr int kBacklog = 16;

Error no_port(const std::string& local, const char* call) {
  return system_error(Code::kSystem, "no port at " + local + " for the packets", call, errno);
}

}  // namespace

Result<Listener> Listener::at(const std::string& local) {
  auto own = address_of(local, 0);
  if (!own) return std::move(own).error();
  Listener made{.fd = UniqueFd(socket(own->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  if (!made.fd) return no_port(local, "socket");
  if (bind(made.fd.get(), own->get(), own->bytes) != 0) return no_port(local, "bind");
  if (listen(made.fd.get(), kBacklog) != 0) return no_port(local, "listen");
  Address bound;
  bound.bytes = sizeof bound.storage;
  if (getsockname(made.fd.get(), bound.get(), &bound.bytes) != 0) return no_port(local, "getsockname");
  made.port = bound.port();
  return made;
}

UniqueFd Listener::accept_from(const Address& host) const noexcept {
  for (int i = 0; i < kBacklog; i++) {
    Address from;
    from.bytes = sizeof from.storage;
    UniqueFd connection(accept4(fd.get(), from.get(), &from.bytes, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection) return {};
    if (from.same_host(host)) return connection;
  }
  return {};
}

}  // namespace ringtap::rpcap
