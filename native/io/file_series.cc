#include "io/file_series.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#ifndef _WIN32
#include <sys/syscall.h>
#include <unistd.h>

#include "core/unique_fd.h"
#endif

#include "io/file_names.h"
#include "io/file_output.h"
#include "io/section_index.h"

namespace ringtap {
namespace {

constexpr uint64_t kMostNumbers = 100'000;
constexpr int64_t kSecond = 1'000'000'000;

/// Which file a name stands for.
struct Identity {
  dev_t device = 0;
  ino_t number = 0;
  bool operator==(const Identity&) const = default;
};

std::optional<Identity> identity_of(const std::string& path) {
  struct stat status {};
#ifdef _WIN32
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
#else
  if (lstat(path.c_str(), &status) != 0) return std::nullopt;
#endif
  return Identity{.device = status.st_dev, .number = status.st_ino};
}

bool exists(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// 0, or errno.
int rename_to_new(const std::string& from, const std::string& to) {
#if defined(SYS_renameat2)
  constexpr unsigned kNoReplace = 1;
  if (syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), kNoReplace) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;  // what a file system without it says
#endif
  if (exists(to)) return EEXIST;
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

/// 0, or errno.
int sync(const std::string& path) {
#ifdef _WIN32
  (void)path;
#else
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return errno;
#endif
  return 0;
}

class Series {
 public:
  explicit Series(SeriesRequest request) : request_(std::move(request)), names_(request_.pattern, request_.many) {}

  std::optional<Error> check() const {
    return names_.check(request_.period_s, request_.keep * request_.period_s, request_.overwrite);
  }

  Result<std::unique_ptr<Output>> open();
  Result<std::string> complete(int64_t begin_ns);
  void discard() const {
    if (is_anothers()) return;
    std::remove(part_.c_str());
    forget_index(part_);
  }
  const std::string& path() const noexcept { return part_; }

 private:
  Error failed(const std::string& what, const char* syscall, int err) const;
  bool is_anothers() const;
  int give_name(std::string& name) const;
  void keep(const std::string& name);

  const SeriesRequest request_;
  const FileNames names_;
  uint64_t number_ = 0;
  int64_t opened_s_ = 0;
  std::string part_;  // what the open one is called for now
  std::optional<Identity> open_;
  std::deque<std::string> complete_;
};

Error Series::failed(const std::string& what, const char* syscall, int err) const {
  return system_error(Code::kFileWrite, part_ + ": " + what, syscall, err);
}

/// Whether somebody has put a file of their own where the open one was: that is neither what was written nor ours.
bool Series::is_anothers() const {
  const auto now = identity_of(part_);
  return now && now != open_;
}

Result<std::unique_ptr<Output>> Series::open() {
  number_++;
  opened_s_ = static_cast<int64_t>(std::time(nullptr));
  const std::string name = names_.name(opened_s_, number_);
  if (number_ == 1 && !request_.overwrite && exists(name)) return file_exists(name);
  // One that was left over by a writer that did not end keeps what it has.
  for (uint64_t i = 1; i < kMostNumbers; i++) {
    part_ = name;
    if (i > 1) part_.append(".").append(std::to_string(i));
    part_.append(".part");
    auto output = open_new_file(part_, request_.how);
    // A ring goes on with what room there is: its oldest file goes when this one is complete.
    if (!output && output.error().err == ENOSPC && number_ > 1)
      output = open_new_file(part_, {.direct = request_.how.direct});
    if (output) open_ = identity_of(part_);
    if (output || output.error().err != EEXIST) return output;
  }
  return failed("too many of that name were left over", "open", EEXIST);
}

/// `begin_ns`: when its first packet was captured; below 0 where it has none.
Result<std::string> Series::complete(int64_t begin_ns) {
  std::string name = names_.name(begin_ns < 0 ? opened_s_ : begin_ns / kSecond, number_);
  if (is_anothers()) return failed("is another file than the one that was written", "rename", ESTALE);
  if (request_.sync) {
    if (const int err = sync(part_)) return failed("cannot be brought to the disk", "fsync", err);
  }
  if (const int err = give_name(name)) return failed("cannot be called " + name, "rename", err);
  move_index(part_, name);
  if (request_.sync) sync(folder_of(name));
  keep(name);
  return name;
}

/// 0, or errno. Never takes the name of another file, unless that was asked for.
int Series::give_name(std::string& name) const {
  if (request_.overwrite) return std::rename(part_.c_str(), name.c_str()) == 0 ? 0 : errno;
  const std::string first = name;
  int err = rename_to_new(part_, name);
  for (uint64_t i = 2; err == EEXIST && i < kMostNumbers; i++) {
    name = names_.another(first, i);
    err = rename_to_new(part_, name);
  }
  return err;
}

void Series::keep(const std::string& name) {
  if (request_.keep == 0) return;
  std::erase(complete_, name);
  complete_.push_back(name);
  for (; complete_.size() > request_.keep; complete_.pop_front()) {
    std::remove(complete_.front().c_str());
    forget_index(complete_.front());
  }
}

}  // namespace

Result<Destination> to_files(const SeriesRequest& request) {
  const auto series = std::make_shared<Series>(request);
  if (auto error = series->check()) return *std::move(error);
  return Destination{.name = request.pattern,
                     .open = [series] { return series->open(); },
                     .complete = [series](int64_t begin_ns) { return series->complete(begin_ns); },
                     .discard = [series] { series->discard(); },
                     .path = [series] { return series->path(); }};
}

}  // namespace ringtap
