#include "backends/mirror/health.h"

#include <sys/socket.h>

#include <cerrno>

namespace ringtap::mirror {
namespace {

// WHY so few: when nothing is read any more, whoever asks is to find out soon.
constexpr int kBacklog = 8;
constexpr int kMostAtOnce = 16;

}  // namespace

Result<Ok> Health::listen(Endpoint endpoint, uint16_t port) {
  endpoint.set_port(port);
  listener_ = UniqueFd(::socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return system_error(Code::kSystem, "no socket for healthPort", "socket", errno);
  const int on = 1;
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener_.get(), endpoint.get(), endpoint.bytes) == 0 && ::listen(listener_.get(), kBacklog) == 0)
    return Ok{};
  const int fault = errno;
  listener_.reset();
  const Code code = fault == EADDRINUSE ? Code::kBusy : fault == EACCES ? Code::kNoPermission : Code::kSystem;
  Error error = system_error(code, "healthPort: " + endpoint.text() + " cannot be listened at", "bind", fault);
  if (fault == EADDRINUSE) error.hint = "Somebody listens there: `ss -ltnp` tells who. Take another port.";
  return error;
}

void Health::answer() noexcept {
  for (int i = 0; i < kMostAtOnce && listener_; i++) {
    const UniqueFd asker(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!asker) return;
    answered_++;
  }
}

}  // namespace ringtap::mirror
