#ifndef _WIN32

#include "io/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace ringtap {
namespace {

class ConnectionInput final : public Input {
 public:
  ConnectionInput(UniqueFd socket, std::shared_ptr<Connection> connection)
      : socket_(std::move(socket)), connection_(std::move(connection)) {}

  int64_t read(std::byte* to, size_t bytes, const std::shared_ptr<Region>&) noexcept override {
    size_t most = bytes;
    if (const auto cut = connection_->next_cut()) {
      if (received_ >= *cut) {
        connection_->pass_cut();
        return kAnother;
      }
      most = static_cast<size_t>(std::min<uint64_t>(most, *cut - received_));
    }
    for (;;) {
      const ssize_t n = recv(socket_.get(), to, most, MSG_DONTWAIT);
      if (n > 0) {
        received_ += static_cast<uint64_t>(n);
        return n;
      }
      if (n == 0) return connection_->why() ? kFailed : 0;
      errno_ = errno;
      if (errno_ == EAGAIN || errno_ == EWOULDBLOCK) return kNothingYet;
      if (errno_ != EINTR) return kFailed;
    }
  }
  bool reading() const noexcept override { return false; }
  bool wait(int timeout_ms) const noexcept override {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, timeout_ms) > 0;
  }
  Readiness readiness() const noexcept override { return {.kind = Readiness::Kind::kFd, .fd = socket_.get()}; }
  bool pending() const noexcept override { return wait(0); }
  bool stream() const noexcept override { return true; }
  Error failure(uint64_t at) const override {
    if (auto why = connection_->why()) return *std::move(why);
    Error error = system_error(Code::kRemoteLost, "the connection broke at byte " + std::to_string(at), "recv", errno_);
    error.position = static_cast<int64_t>(at);
    return error;
  }
  void close() noexcept override { socket_.reset(); }

 private:
  UniqueFd socket_;
  const std::shared_ptr<Connection> connection_;
  uint64_t received_ = 0;
  int errno_ = 0;
};

}  // namespace

Result<std::unique_ptr<Input>> connection_input(std::shared_ptr<Connection> connection) {
  UniqueFd socket = connection->take();
  if (!socket) return Error{.code = Code::kClosed, .message = "the connection was given to somebody else already"};
  return std::unique_ptr<Input>(std::make_unique<ConnectionInput>(std::move(socket), std::move(connection)));
}

}  // namespace ringtap

#endif
