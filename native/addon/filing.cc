#include "addon/filing.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "addon/convert.h"
#include "addon/deferred.h"
#include "addon/elements.h"
#include "addon/environment.h"
#include "addon/errors.h"
#include "io/file_output.h"

namespace ringtap::addon {

namespace {

struct Writing {
  int fd;
  std::vector<std::byte> bytes;
  std::optional<off_t> position;
  int err = 0;

  void run() noexcept {
    for (size_t done = 0; done < bytes.size();) {
      const size_t left = bytes.size() - done;
      const ssize_t n = position ? pwrite(fd, bytes.data() + done, left, *position + static_cast<off_t>(done))
                                 : write(fd, bytes.data() + done, left);
      if (n >= 0) {
        done += static_cast<size_t>(n);
        continue;
      }
      if (errno == EAGAIN) {
        // A pipe whose reader is slow.
        pollfd wanted{.fd = fd, .events = POLLOUT, .revents = 0};
        poll(&wanted, 1, -1);
      } else if (errno != EINTR) {
        err = errno;
        return;
      }
    }
  }
};

}  // namespace

Napi::Value write_file(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Deferred written(env);
  const auto given = elements<std::byte>(info[1]);
  const double position = number(info[2]);
  constexpr double kMost = 9e15;
  const bool is_placed = position >= 0 && position < kMost;
  auto writing = std::make_shared<Writing>(
      Writing{.fd = static_cast<int>(word(info[0])),
              .bytes = {given.begin(), given.end()},
              .position = is_placed ? std::optional(static_cast<off_t>(position)) : std::nullopt});
  const auto settle = [writing, written](Napi::Env there) mutable {
    if (writing->err == 0) return written.resolve(there.Undefined());
    written.reject(to_js(there, system_error(Code::kFileWrite, "cannot be written", "write", writing->err)).Value());
  };
  auto started = Environment::of(env).tasks().start([writing] { writing->run(); }, settle);
  if (!started) written.reject(to_js(env, started.error()).Value());
  return written.promise();
}

void lock_file(const Napi::CallbackInfo& info) {
  if (auto error = ringtap::lock_file(static_cast<int>(word(info[0])), text(info[1]))) raise(info.Env(), *error);
}

void unlock_file(const Napi::CallbackInfo& info) { ringtap::unlock_file(static_cast<int>(word(info[0]))); }

}  // namespace ringtap::addon
