#include "io/file_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#ifdef _WIN32
#include <io.h>
#else
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

#include "io/direct_writing.h"
#include "io/pipe_room.h"

namespace ringtap {
namespace {

// A write() to a file is at most this long. WHY: the page cache takes memory in as large pieces as a call has bytes
// for. With longer calls, whose pieces nobody has used for long, a virtual machine waits for its host to give them.
constexpr size_t kFileWriteBytes = 256u << 10;

// From this size on, a file has so much of the disk claimed at a time, if nobody said otherwise. WHY: ext4 finds a
// place for each write otherwise, which costs the kernel a third more. Only there, where that was measured:
// others have ways of their own, and what was claimed is not compressed on btrfs.
constexpr uint64_t kLargeFileBytes = 64u << 20;

bool is_on_ext4(int fd) noexcept {
#ifdef __linux__
  struct statfs status {};
  return fstatfs(fd, &status) == 0 && status.f_type == EXT4_SUPER_MAGIC;
#else
  (void)fd;
  return false;
#endif
}

class FileOutput final : public Output {
 public:
  FileOutput(int fd, bool owned) : fd_(fd), owned_(owned) {}
  FileOutput(const FileOutput&) = delete;
  FileOutput& operator=(const FileOutput&) = delete;
  ~FileOutput() override { finish(); }

  /// Makes the file that was just opened or created ours alone, and empty.
  std::optional<Error> begin(const std::string& path, Existing existing, FileWriting how);

  size_t bytes_at_once(const std::atomic<bool>& give_up) noexcept override;
  size_t write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept override;
  bool take_back(size_t bytes) noexcept override;
  int close() noexcept override { return finish(); }

 private:
  bool wait_for_reader(const std::atomic<bool>& give_up) const noexcept;
  int finish() noexcept;
  std::optional<Error> write_as(const std::string& path, FileWriting how);
  int claim(uint64_t bytes) noexcept;

  int fd_ = -1;
  const bool owned_;
  bool regular_ = false;
  std::optional<PipeRoom> pipe_;  // or a socket: its reader decides how fast it goes
  std::unique_ptr<DirectWriting> direct_;
  uint64_t preallocate_ = 0;
  bool claims_when_large_ = false;
  uint64_t size_ = 0;  // where more of the disk is claimed
  uint64_t claimed_ = 0;
};

Error cannot_create(const std::string& path, const char* syscall, int err) {
  return system_error(Code::kFileWrite, path + ": cannot create", syscall, err);
}

#ifdef _WIN32

Result<std::unique_ptr<Output>> open_output(const std::string& path, Existing existing, bool is_new, FileWriting) {
  const bool standard = path == "-";
  if (standard) _setmode(1, _O_BINARY);
  if (existing == Existing::kRefused && !standard && _access(path.c_str(), 0) == 0) return file_exists(path);
  const int flags = _O_WRONLY | _O_CREAT | (is_new ? _O_EXCL : _O_TRUNC) | _O_BINARY;
  const int fd = standard ? 1 : _open(path.c_str(), flags, _S_IREAD | _S_IWRITE);
  if (fd < 0) return cannot_create(path, "open", errno);
  return std::unique_ptr<Output>(std::make_unique<FileOutput>(fd, !standard));
}

size_t FileOutput::bytes_at_once(const std::atomic<bool>&) noexcept { return 0; }

bool FileOutput::wait_for_reader(const std::atomic<bool>&) const noexcept { return true; }

size_t FileOutput::write(std::span<const std::byte> bytes, const std::atomic<bool>&) noexcept {
  size_t done = 0;
  while (done < bytes.size()) {
    const int n = _write(fd_, bytes.data() + done, static_cast<unsigned>(bytes.size() - done));
    if (n <= 0) break;
    done += n;
  }
  return done;
}

bool FileOutput::take_back(size_t bytes) noexcept {
  const int64_t end = _lseeki64(fd_, 0, SEEK_CUR) - static_cast<int64_t>(bytes);
  return _chsize_s(fd_, end) == 0 && _lseeki64(fd_, end, SEEK_SET) == end;
}

int FileOutput::finish() noexcept {
  const int fd = std::exchange(fd_, -1);
  return fd >= 0 && owned_ && _close(fd) != 0 ? errno : 0;
}

#else

bool is_pipe(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

Result<std::unique_ptr<Output>> open_output(const std::string& path, Existing existing, bool is_new, FileWriting how) {
  const bool standard = path == "-";
  // WHY O_NONBLOCK: to open a pipe that nobody reads would wait, and so would writing to one that is full.
  constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const int fd = standard ? STDOUT_FILENO : ::open(path.c_str(), kFlags | (is_new ? O_EXCL : 0), 0666);
  const int err = errno;
  if (fd < 0 && err == ENXIO && is_pipe(path)) return std::unique_ptr<Output>();
  if (fd < 0) return cannot_create(path, "open", err);
  auto output = std::make_unique<FileOutput>(fd, !standard);
  if (auto error = output->begin(path, existing, how)) {
    if (is_new) ::unlink(path.c_str());
    return *std::move(error);
  }
  return std::unique_ptr<Output>(std::move(output));
}

std::optional<Error> FileOutput::begin(const std::string& path, Existing existing, FileWriting how) {
  struct stat status {};
  if (fstat(fd_, &status) != 0) return cannot_create(path, "fstat", errno);
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) pipe_.emplace(fd_);
  if (!owned_ && isatty(fd_) != 0) {
    return Error{.code = Code::kFileWrite, .message = path + ": is a terminal", .hint = "Redirect it: … > out.pcap"};
  }
  regular_ = S_ISREG(status.st_mode);
  if ((!owned_ || !regular_) && (how.direct || how.preallocate > 0)) {
    return Error{.code = Code::kUnsupported,
                 .message = path + ": is no regular file, which direct and preallocateBytes are for",
                 .hint = "Leave them out, or name a file."};
  }
  if (!owned_ || !regular_) return std::nullopt;
  // WHY: two writers of one file would overwrite each other's packets.
  if (auto error = lock_file(fd_, path)) return error;
  if (existing == Existing::kRefused && status.st_size > 0) return file_exists(path);
  if (ftruncate(fd_, 0) != 0) return cannot_create(path, "ftruncate", errno);
  return write_as(path, how);
}

std::optional<Error> FileOutput::write_as(const std::string& path, FileWriting how) {
  preallocate_ = how.preallocate;
  claims_when_large_ = preallocate_ == 0 && !how.direct && is_on_ext4(fd_);
  if (const int err = claim(1)) return cannot_create(path, "fallocate", err);
  if (!how.direct) return std::nullopt;
  auto direct = DirectWriting::begin(fd_, path);
  if (!direct) return std::move(direct).error();
  direct_ = *std::move(direct);
  return std::nullopt;
}

/// Has the disk keep room for so many more bytes. 0, or the errno of one that has none; one that cannot keep any is as
/// good as one that has.
int FileOutput::claim(uint64_t bytes) noexcept {
#ifdef __linux__
  if (claims_when_large_ && size_ >= kLargeFileBytes) {
    claims_when_large_ = false;
    preallocate_ = kLargeFileBytes;
    claimed_ = size_;
  }
  if (preallocate_ == 0 || size_ + bytes <= claimed_) return 0;
  const uint64_t more = (size_ + bytes - claimed_ + preallocate_ - 1) / preallocate_ * preallocate_;
  // WHY KEEP_SIZE: zeros at the end of a trace would be read as packets.
  if (fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(claimed_), static_cast<off_t>(more)) == 0) {
    claimed_ += more;
    return 0;
  }
  preallocate_ = 0;
  return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? errno : 0;
#else
  (void)bytes;
  return 0;
#endif
}

size_t FileOutput::bytes_at_once(const std::atomic<bool>& give_up) noexcept {
  if (!pipe_) return 0;
  const size_t bytes = pipe_->bytes_at_once(fd_);
  if (bytes > PIPE_BUF || !wait_for_reader(give_up)) return bytes;
  return pipe_->bytes_at_once(fd_);  // whoever reads it may have read all
}

size_t FileOutput::write(std::span<const std::byte> bytes, const std::atomic<bool>& give_up) noexcept {
  claim(bytes.size());  // what room there is can be written to, also where no more of it can be claimed
  size_ += bytes.size();
  if (direct_ != nullptr) return direct_->write(bytes);
  size_t done = 0;
  while (done < bytes.size()) {
    size_t most = bytes.size() - done;
    if (regular_) most = std::min(most, kFileWriteBytes);
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
bool FileOutput::wait_for_reader(const std::atomic<bool>& give_up) const noexcept {
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

bool FileOutput::take_back(size_t bytes) noexcept {
  if (!regular_) return false;
  const auto size = direct_ != nullptr ? static_cast<off_t>(direct_->size()) : lseek(fd_, 0, SEEK_CUR);
  if (const auto direct = std::exchange(direct_, nullptr)) direct->end();
  const off_t end = size - static_cast<off_t>(bytes);
  return end >= 0 && ftruncate(fd_, end) == 0 && lseek(fd_, end, SEEK_SET) == end;
}

int FileOutput::finish() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0 || !owned_) return 0;
  struct stat status {};
  const bool is_cut = claimed_ == 0 || (fstat(fd, &status) == 0 && ftruncate(fd, status.st_size) == 0);
  const int err = is_cut ? 0 : errno;
  if (regular_) unlock_file(fd);
  return ::close(fd) != 0 ? errno : err;
}

#endif

}  // namespace

Destination to_file(const std::string& path, Existing existing, FileWriting how) {
  Destination to{.name = path == "-" ? "standard output" : path,
                 .open = [path, existing, how] { return open_output(path, existing, false, how); }};
  if (path != "-") to.path = [path] { return path; };
  return to;
}

Result<std::unique_ptr<Output>> open_new_file(const std::string& path, FileWriting how) {
  return open_output(path, Existing::kRefused, true, how);
}

#ifndef _WIN32
std::optional<Error> lock_file(int fd, const std::string& path) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return std::nullopt;
  Error error = system_error(Code::kBusy, path + ": somebody else is writing this file", "flock", errno);
  error.hint = "Close the other writer first, or write to another file.";
  return error;
}

// WHY: a child that is just being forked would keep it beyond close().
void unlock_file(int fd) noexcept { flock(fd, LOCK_UN); }
#endif

Error file_exists(const std::string& path) {
  Error error = cannot_create(path, "open", EEXIST);
  error.hint = "Name another file, or allow it to be overwritten: overwrite, --force.";
  return error;
}

}  // namespace ringtap
