#include "io/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#ifdef _WIN32
#include <io.h>
#else
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>
#endif

namespace ringtap {
namespace {

constexpr size_t kExistingBytes = 64;

Error cannot_create(const std::string& path, const char* syscall, int err) {
  return system_error(Code::kFileWrite, path + ": cannot create", syscall, err);
}

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

bool OutputFile::is_unread_pipe(const Error&, const std::string&) { return false; }

size_t OutputFile::bytes_at_once(const std::atomic<bool>&) noexcept { return 0; }

bool OutputFile::wait_for_reader(const std::atomic<bool>&) const noexcept { return true; }

size_t OutputFile::write(std::span<const std::byte> bytes, const std::atomic<bool>&) noexcept {
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
  // WHY O_NONBLOCK: to open a pipe that nobody reads would wait, and so would writing to one that is full.
  const int flags = O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (append ? O_RDWR : O_WRONLY);
  const int fd = standard ? STDOUT_FILENO : ::open(path.c_str(), flags, 0666);
  if (fd < 0) return cannot_create(path, "open", errno);
  OutputFile file(fd, !standard);
  struct stat status {};
  if (fstat(fd, &status) != 0) return cannot_create(path, "fstat", errno);
  file.regular_ = S_ISREG(status.st_mode);
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) file.pipe_.emplace(fd);
  if (standard && isatty(fd) != 0) {
    return Error{.code = Code::kFileWrite, .message = path + ": is a terminal", .hint = "Redirect it: … > out.pcap"};
  }
  if (standard || !file.regular_) return file;
  // WHY: two writers of one file would overwrite each other's packets. Where the file system has no locks, so be it.
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    Error error = system_error(Code::kBusy, path + ": somebody else is writing this file", "flock", errno);
    error.hint = "Close the other writer first, or write to another file.";
    return error;
  }
  if (!append && ftruncate(fd, 0) != 0) return cannot_create(path, "ftruncate", errno);
  if (append) {
    file.existing_.resize(kExistingBytes);
    const ssize_t n = pread(fd, file.existing_.data(), kExistingBytes, 0);
    if (n < 0) return cannot_create(path, "pread", errno);
    file.existing_.resize(static_cast<size_t>(n));
    if (lseek(fd, 0, SEEK_END) < 0) return cannot_create(path, "lseek", errno);
  }
  return file;
}

bool OutputFile::is_unread_pipe(const Error& error, const std::string& path) {
  struct stat status {};
  return error.err == ENXIO && stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

size_t OutputFile::bytes_at_once(const std::atomic<bool>& give_up) noexcept {
  if (!pipe_) return 0;
  const size_t bytes = pipe_->bytes_at_once(fd_);
  if (bytes > PIPE_BUF || !wait_for_reader(give_up)) return bytes;
  return pipe_->bytes_at_once(fd_);  // whoever reads it may have read all
}

size_t OutputFile::write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept {
  size_t done = 0;
  while (done < bytes.size()) {
    size_t most = bytes.size() - done;
    if (pipe_ && most > PIPE_BUF) most = std::min(most, bytes_at_once(give_up));
    // WHY not only when it is full: standard output may be a blocking pipe. One that has room takes this much at once.
    if (pipe_ && !owned_ && most <= PIPE_BUF && !wait_for_reader(give_up)) break;
    const ssize_t n = ::write(fd_, bytes.data() + done, most);
    if (n > 0) {
      done += static_cast<size_t>(n);
      if (pipe_) pipe_->wrote(static_cast<size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      if (!wait_for_reader(give_up)) break;
    } else if (n == 0 || errno != EINTR) {
      break;
    }
  }
  return done;
}

/// False when `give_up` was set and there is no room: with ECANCELED.
bool OutputFile::wait_for_reader(const std::atomic<bool>& give_up) const noexcept {
  constexpr int kLookMs = 20;
  for (;;) {
    const bool is_last = give_up.load(std::memory_order_relaxed);
    pollfd waiting{.fd = fd_, .events = POLLOUT, .revents = 0};
    const int ready = poll(&waiting, 1, is_last ? 0 : kLookMs);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;  // write() says what is wrong
    if (is_last) break;
  }
  errno = ECANCELED;
  return false;
}

bool OutputFile::take_back(size_t bytes) noexcept {
  if (!regular_) return false;
  const off_t end = lseek(fd_, 0, SEEK_CUR) - static_cast<off_t>(bytes);
  return end >= 0 && ftruncate(fd_, end) == 0 && lseek(fd_, end, SEEK_SET) == end;
}

int OutputFile::close() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0 || !owned_) return 0;
  if (regular_) flock(fd, LOCK_UN);  // WHY: a child that is just being forked would keep it
  return ::close(fd) != 0 ? errno : 0;
}

#endif

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      owned_(other.owned_),
      regular_(other.regular_),
      pipe_(std::move(other.pipe_)),
      existing_(std::move(other.existing_)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    owned_ = other.owned_;
    regular_ = other.regular_;
    pipe_ = std::move(other.pipe_);
    existing_ = std::move(other.existing_);
  }
  return *this;
}

OutputFile::~OutputFile() { close(); }

}  // namespace ringtap
