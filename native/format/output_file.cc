#include "format/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <utility>
#ifdef _WIN32
#include <io.h>
#else
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#endif

namespace ringtap {
namespace {

constexpr size_t kExistingBytes = 64;

Error cannot_create(const std::string& path, const char* syscall, int err) {
  return system_error(Code::kFileWrite, path + ": cannot create", syscall, err);
}

#ifndef _WIN32

/// Keeps a failed write(2) an error: the signals that go with it are blocked, and taken from the queue.
class QuietWrites {
 public:
  QuietWrites() noexcept {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGPIPE);
    sigaddset(&signals_, SIGXFSZ);
    sigset_t pending;
    sigpending(&pending);
    were_pending_ = sigismember(&pending, SIGPIPE) == 1 || sigismember(&pending, SIGXFSZ) == 1;
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~QuietWrites() {
    const int saved = errno;
    sigset_t pending;
    sigpending(&pending);
    if (!were_pending_ && (sigismember(&pending, SIGPIPE) == 1 || sigismember(&pending, SIGXFSZ) == 1)) {
      int signal = 0;
      sigwait(&signals_, &signal);
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = saved;
  }
  QuietWrites(const QuietWrites&) = delete;
  QuietWrites& operator=(const QuietWrites&) = delete;

 private:
  sigset_t signals_;
  sigset_t before_;
  bool were_pending_ = false;
};

#endif

}  // namespace

#ifdef _WIN32

Result<OutputFile> OutputFile::open(const std::string& path, bool append) {
  if (path == "-") {
    _setmode(1, _O_BINARY);
    return OutputFile(1, false);
  }
  const int fd = _open(path.c_str(), _O_RDWR | _O_CREAT | _O_BINARY | (append ? 0 : _O_TRUNC), _S_IREAD | _S_IWRITE);
  if (fd < 0) return cannot_create(path, "open", errno);
  OutputFile file(fd, true);
  file.regular_ = true;
  if (append) {
    file.existing_.resize(kExistingBytes);
    const int n = _read(fd, file.existing_.data(), kExistingBytes);
    file.existing_.resize(n > 0 ? n : 0);
    _lseeki64(fd, 0, SEEK_END);
  }
  return file;
}

size_t OutputFile::write(std::span<const std::byte> bytes) noexcept {
  size_t done = 0;
  while (done < bytes.size()) {
    const int n = _write(fd_, bytes.data() + done, static_cast<unsigned>(bytes.size() - done));
    if (n <= 0) break;
    done += n;
  }
  return done;
}

bool OutputFile::take_back(size_t bytes) noexcept {
  const int64_t end = _lseeki64(fd_, 0, SEEK_CUR) - static_cast<int64_t>(bytes);
  return _chsize_s(fd_, end) == 0 && _lseeki64(fd_, end, SEEK_SET) == end;
}

int OutputFile::close() noexcept {
  const int fd = std::exchange(fd_, -1);
  return fd >= 0 && owned_ && _close(fd) != 0 ? errno : 0;
}

#else

Result<OutputFile> OutputFile::open(const std::string& path, bool append) {
  const bool standard = path == "-";
  struct stat status {};
  // WHY: to open a pipe that nobody reads would block. Like this it is ENXIO, and the caller can wait.
  const bool pipe = !standard && stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
  const int flags = O_CREAT | O_CLOEXEC | O_NOCTTY | (pipe ? O_NONBLOCK : 0) | (append ? O_RDWR : O_WRONLY | O_TRUNC);
  const int fd = standard ? STDOUT_FILENO : ::open(path.c_str(), flags, 0666);
  if (fd < 0) return cannot_create(path, "open", errno);
  OutputFile file(fd, !standard);
  if (fstat(fd, &status) != 0) return cannot_create(path, "fstat", errno);
  if (standard && isatty(fd) != 0) {
    return Error{.code = Code::kFileWrite, .message = path + ": is a terminal", .hint = "Redirect it: … > out.pcap"};
  }
  file.regular_ = S_ISREG(status.st_mode);
  if (append && file.regular_ && !standard) {
    file.existing_.resize(kExistingBytes);
    const ssize_t n = pread(fd, file.existing_.data(), kExistingBytes, 0);
    if (n < 0) return cannot_create(path, "pread", errno);
    file.existing_.resize(static_cast<size_t>(n));
    if (lseek(fd, 0, SEEK_END) < 0) return cannot_create(path, "lseek", errno);
  }
  return file;
}

size_t OutputFile::write(std::span<const std::byte> bytes) noexcept {
  const QuietWrites quiet;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      pollfd waiting{.fd = fd_, .events = POLLOUT, .revents = 0};  // a pipe, or Node's standard output
      poll(&waiting, 1, -1);
    } else if (n == 0 || errno != EINTR) {
      break;
    }
  }
  return done;
}

bool OutputFile::take_back(size_t bytes) noexcept {
  if (!regular_) return false;
  const off_t end = lseek(fd_, 0, SEEK_CUR) - static_cast<off_t>(bytes);
  return end >= 0 && ftruncate(fd_, end) == 0 && lseek(fd_, end, SEEK_SET) == end;
}

int OutputFile::close() noexcept {
  const int fd = std::exchange(fd_, -1);
  return fd >= 0 && owned_ && ::close(fd) != 0 ? errno : 0;
}

#endif

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      owned_(other.owned_),
      regular_(other.regular_),
      existing_(std::move(other.existing_)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    owned_ = other.owned_;
    regular_ = other.regular_;
    existing_ = std::move(other.existing_);
  }
  return *this;
}

OutputFile::~OutputFile() { close(); }

}  // namespace ringtap
