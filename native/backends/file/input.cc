#include "backends/file/input.h"

#include <cerrno>
#include <utility>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#else
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace ringtap {
namespace {

Error cannot_open(const std::string& path, const char* syscall, int err) {
  return system_error(Code::kFileOpen, path + ": cannot open", syscall, err);
}

}  // namespace

#ifdef _WIN32

Result<Input> Input::open(const std::string& path) {
  if (path == "-") {
    _setmode(0, _O_BINARY);
    return Input(0, false, false);
  }
  const int fd = _open(path.c_str(), _O_RDONLY | _O_BINARY | _O_SEQUENTIAL);
  if (fd < 0) return cannot_open(path, "open", errno);
  return Input(fd, true, false);
}

int64_t Input::read(std::byte* to, size_t bytes) noexcept {
  const int n = _read(fd_, to, static_cast<unsigned>(bytes));
  return n < 0 ? kFailed : n;
}

bool Input::wait(int) const noexcept { return true; }

void Input::close() noexcept {
  if (owned_ && fd_ >= 0) _close(fd_);
  fd_ = -1;
}

#else

Result<Input> Input::open(const std::string& path) {
  const bool standard = path == "-";
  // Without O_NONBLOCK, a FIFO would hold this thread until somebody opens its other end.
  const int fd = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return cannot_open(path, "open", errno);
  Input input(fd, !standard, true);
  struct stat status {};
  if (fstat(fd, &status) != 0) return cannot_open(path, "fstat", errno);
  if (S_ISDIR(status.st_mode)) return cannot_open(path, "read", EISDIR);
  if (isatty(fd) != 0) {
    return Error{.code = Code::kFileOpen,
                 .message = path + ": is a terminal",
                 .hint = "Pipe a trace into it, for example: zstd -dc trace.pcap.zst | ringtap read -"};
  }
  input.stream_ = !S_ISREG(status.st_mode);
#ifdef POSIX_FADV_SEQUENTIAL
  if (!input.stream_) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  return input;
}

int64_t Input::read(std::byte* to, size_t bytes) noexcept {
  // WHY poll first: O_NONBLOCK on standard input would also change it for the processes that share it.
  if (stream_ && !wait(0)) return kNothingYet;
  for (;;) {
    const ssize_t n = ::read(fd_, to, bytes);
    if (n >= 0) return n;
    if (errno == EAGAIN) return kNothingYet;
    if (errno != EINTR) return kFailed;
  }
}

bool Input::wait(int timeout_ms) const noexcept {
  pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, timeout_ms) > 0;
}

void Input::close() noexcept {
  if (owned_ && fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

#endif

Input::Input(Input&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), owned_(other.owned_), stream_(other.stream_) {}

Input& Input::operator=(Input&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    owned_ = other.owned_;
    stream_ = other.stream_;
  }
  return *this;
}

}  // namespace ringtap
