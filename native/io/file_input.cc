#include "io/file_input.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#else
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

#include "io/descriptor.h"
#include "io/reading_thread.h"

namespace ringtap {
namespace {

class FileInput final : public Input {
 public:
  /// Of a descriptor that never waits, or of a thread for one that does.
  FileInput(Descriptor file, std::unique_ptr<ReadingThread> thread, bool stream, bool goes_on = false)
      : file_(std::move(file)), thread_(std::move(thread)), stream_(stream), goes_on_(goes_on) {}

  int64_t read(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept override;
  bool reading() const noexcept override { return thread_ != nullptr && thread_->asked(); }
  bool wait(int timeout_ms) const noexcept override;
  Readiness readiness() const noexcept override;
  bool pending() const noexcept override { return thread_ == nullptr || thread_->pending(); }
  bool stream() const noexcept override { return stream_; }
  bool seek(uint64_t at) noexcept override {
    return !stream_ && !reading() && (thread_ != nullptr ? thread_->file() : file_).seek(at);
  }
  Error failure(uint64_t at) const override;
  void close() noexcept override;

 private:
  static constexpr uint64_t kMostPiece = 1u << 20;

  Descriptor file_;
  std::unique_ptr<ReadingThread> thread_;
  const bool stream_;
  const bool goes_on_;  // only the thread can tell what its end is
  bool tells_cached_ = true;
  uint64_t piece_ = 128u << 10;  // what the thread reads at most
  bool no_thread_ = false;
};

Error cannot_open(const std::string& path, const char* syscall, int err) {
  return system_error(Code::kFileOpen, path + ": cannot open", syscall, err);
}

#ifndef _WIN32

#ifdef __linux__

uint32_t file_system(int fd) noexcept {
  struct statfs status {};
  return fstatfs(fd, &status) == 0 ? static_cast<uint32_t>(status.f_type) : 0;
}

/// Whether reading from it never waits.
bool in_memory(int fd) noexcept {
  const uint32_t type = file_system(fd);
  return type == uint32_t{TMPFS_MAGIC} || type == uint32_t{RAMFS_MAGIC};
}

/// A pipe of standard input as a file of our own, which is in non-blocking mode without changing it for the processes
/// that share the pipe. WHY not a named one: opened anew, it would not tell that its writer has come and gone.
Descriptor own_pipe() noexcept {
  if (file_system(STDIN_FILENO) != uint32_t{PIPEFS_MAGIC}) return {};
  return {::open("/proc/self/fd/0", O_RDONLY | O_CLOEXEC | O_NONBLOCK), true};
}

#else

bool in_memory(int) noexcept { return false; }
Descriptor own_pipe() noexcept { return {}; }

#endif

#endif

int64_t FileInput::read(std::byte* to, size_t bytes, const std::shared_ptr<Region>& owner) noexcept {
  // WHY the wait: a named pipe that nobody has opened for writing yet reads as ended.
  if (thread_ == nullptr) return stream_ && !wait(0) ? kNothingYet : file_.read(to, bytes);
  if (thread_->asked()) return thread_->answer();
  if (tells_cached_) {
    const int64_t n = thread_->file().read_cached(to, bytes, tells_cached_);
    if (n != kNothingYet && (n != 0 || !goes_on_)) return n;
  }
  // The first packets need not wait for many more; those after them come faster in larger pieces.
  const uint64_t piece = std::exchange(piece_, std::min(2 * piece_, kMostPiece));
  if (thread_->ask(to, std::min<size_t>(bytes, piece), owner)) return kNothingYet;
  no_thread_ = true;
  return kFailed;
}

Error FileInput::failure(uint64_t at) const {
  const std::string what = "cannot read at byte " + std::to_string(at);
  Error error = system_error(no_thread_ ? Code::kSystem : Code::kFileOpen,
                             no_thread_ ? what + ": no thread can be started for it" : what,
                             no_thread_ ? "pthread_create" : "read", errno);
  if (no_thread_) error.hint = "Raise the limit of threads: ulimit -u, or pids.max of the control group.";
  error.position = static_cast<int64_t>(at);
  return error;
}

bool FileInput::wait([[maybe_unused]] int timeout_ms) const noexcept {
  if (thread_ != nullptr) return thread_->wait(timeout_ms);
#ifndef _WIN32
  pollfd waiting{.fd = file_.get(), .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, timeout_ms) > 0;
#else
  return true;
#endif
}

Readiness FileInput::readiness() const noexcept {
  if (thread_ != nullptr) return thread_->readiness();
  if (!stream_) return {.kind = Readiness::Kind::kAlways};
  return {.kind = Readiness::Kind::kFd, .fd = file_.get()};
}

void FileInput::close() noexcept {
  thread_.reset();
  file_ = {};
}

}  // namespace

#ifdef _WIN32

Result<std::unique_ptr<Input>> open_input(const std::string& path, const std::shared_ptr<Tail>&) {
  const bool standard = path == "-";
  if (standard) _setmode(0, _O_BINARY);
  const int fd = standard ? 0 : _open(path.c_str(), _O_RDONLY | _O_BINARY | _O_SEQUENTIAL);
  if (fd < 0) return cannot_open(path, "open", errno);
  auto thread = ReadingThread::make(Descriptor(fd, !standard), standard);
  return std::unique_ptr<Input>(std::make_unique<FileInput>(Descriptor(), std::move(thread), standard));
}

#else

Result<std::unique_ptr<Input>> open_input(const std::string& path, const std::shared_ptr<Tail>& tail) {
  const bool standard = path == "-";
  // Without O_NONBLOCK, a FIFO would hold this thread until somebody opens its other end.
  Descriptor file(standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
                  !standard);
  if (file.get() < 0) return cannot_open(path, "open", errno);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return cannot_open(path, "fstat", errno);
  if (S_ISDIR(status.st_mode)) return cannot_open(path, "read", EISDIR);
  if (isatty(file.get()) != 0) {
    return Error{.code = Code::kFileOpen,
                 .message = path + ": is a terminal",
                 .hint = "Pipe a trace into it, for example: zstd -dc trace.pcap.zst | ringtap read -"};
  }
  const bool on_disk = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
  if (standard) {
    if (Descriptor own = own_pipe(); own.get() >= 0) file = std::move(own);
  }
  const bool goes_on = on_disk && tail != nullptr;
  const bool waits = on_disk ? goes_on || !in_memory(file.get()) : file.get() == STDIN_FILENO;
#ifdef POSIX_FADV_SEQUENTIAL
  if (on_disk) posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  if (!waits) return std::unique_ptr<Input>(std::make_unique<FileInput>(std::move(file), nullptr, !on_disk));
  auto thread = ReadingThread::make(std::move(file), !on_disk, goes_on ? tail : nullptr);
  if (thread == nullptr) return cannot_open(path, "eventfd", errno);
  return std::unique_ptr<Input>(
      std::make_unique<FileInput>(Descriptor(), std::move(thread), !on_disk || goes_on, goes_on));
}

#endif

}  // namespace ringtap
