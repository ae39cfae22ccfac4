#include "backends/file/followed.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <system_error>

#ifndef _WIN32
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "backends/file/paths.h"
#include "core/unique_fd.h"

namespace ringtap::file {
namespace {

// A trace's first packet is in it, of which no other trace has the time.
constexpr uint32_t kHead = 4096;

std::string folder_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return path.substr(0, std::max<size_t>(slash, 1));
}

/// The name for glob(3).
std::string literal(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string("*?[]\\").find(c) != std::string::npos) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

/// What strftime makes of it, as a pattern.
std::string without_conversions(const std::string& path) {
  std::string pattern;
  for (size_t i = 0; i < path.size(); i++) {
    if (path[i] != '%' || i + 1 == path.size()) {
      pattern.push_back(path[i]);
    } else {
      pattern.push_back(path[++i] == '%' ? '%' : '*');
    }
  }
  return pattern;
}

/// Numbers in names by their value: x2 before x10.
bool is_named_before(const std::string& a, const std::string& b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      i++;
      j++;
      continue;
    }
    const auto number_at = [&is_digit](const std::string& text, size_t& at) {
      while (at < text.size() && text[at] == '0') at++;
      const size_t begin = at;
      while (at < text.size() && is_digit(text[at])) at++;
      return text.substr(begin, at - begin);
    };
    const std::string left = number_at(a, i);
    const std::string right = number_at(b, j);
    if (left.size() != right.size()) return left.size() < right.size();
    if (left != right) return left < right;
  }
  return a.size() < b.size();
}

#ifndef _WIN32

Followed::Found found_as(std::string path, const struct stat& status) {
#ifdef __APPLE__
  const timespec& changed = status.st_mtimespec;
#else
  const timespec& changed = status.st_mtim;
#endif
  return {.path = std::move(path),
          .identity = {.device = static_cast<uint64_t>(status.st_dev), .number = static_cast<uint64_t>(status.st_ino)},
          .bytes = static_cast<int64_t>(status.st_size),
          .changed_ns = int64_t{changed.tv_sec} * 1'000'000'000 + changed.tv_nsec};
}

#endif

}  // namespace

bool can_be_followed(const std::string& target) {
  std::error_code none;
  const auto status = std::filesystem::status(target, none);
  return target != "-" && (!std::filesystem::exists(status) || std::filesystem::is_directory(status) ||
                           std::filesystem::is_regular_file(status));
}

#ifdef _WIN32

Followed::Followed(const std::string& target) : watch_(target) {}
std::optional<Followed::Found> Followed::next() const { return std::nullopt; }
bool Followed::has_other_than(const Identity&) const { return false; }
Followed::Head Followed::head_of(int, uint32_t) { return {}; }
void Followed::is_done(int, const Head&) {}
void Followed::is_done(const Found&) {}
std::vector<Followed::Found> Followed::unread() const { return {}; }
bool Followed::begins_anew(const Found&, const Done&) const { return false; }
Tail::Next FollowedTail::decide(int) { return Next::kEnd; }

#else

Followed::Followed(const std::string& target)
    : is_search_(is_folder(target) || is_pattern(target)),
      folder_(is_folder(target) ? target : folder_of(target)),
      watch_(folder_) {
  if (is_folder(target)) {
    patterns_ = {literal(target) + "/*"};
    return;
  }
  const std::string pattern = is_pattern(target) ? without_conversions(target) : literal(one_path(target));
  patterns_ = {pattern, pattern + ".part", pattern + ".[0-9]*.part"};
}

std::vector<Followed::Found> Followed::unread() const {
  std::vector<Found> all;
  for (const std::string& pattern : patterns_) {
    glob_t names{};
    if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &names) == 0) {
      for (size_t i = 0; i < names.gl_pathc; i++) {
        std::string path = names.gl_pathv[i];
        struct stat status {};
        if (is_index(path) || stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
        Found found = found_as(std::move(path), status);
        const auto is_it = [&found](const Found& other) { return other.identity == found.identity; };
        if (std::none_of(all.begin(), all.end(), is_it)) all.push_back(std::move(found));
      }
    }
    globfree(&names);
  }
  const std::scoped_lock lock(mutex_);
  std::erase_if(all, [this](const Found& found) {
    const auto done = done_.find(found.identity);
    return done != done_.end() && !begins_anew(found, done->second);
  });
  return all;
}

std::optional<Followed::Found> Followed::next() const {
  const auto all = unread();
  const auto first = std::min_element(all.begin(), all.end(), [](const Found& a, const Found& b) {
    return a.changed_ns != b.changed_ns ? a.changed_ns < b.changed_ns : is_named_before(a.path, b.path);
  });
  if (first == all.end()) return std::nullopt;
  return *first;
}

bool Followed::has_other_than(const Identity& current) const {
  const auto all = unread();
  return std::any_of(all.begin(), all.end(), [&](const Found& found) { return found.identity != current; });
}

/// WHY not by its time alone: that changes when somebody touches it, or goes on to write to it, and its packets must
/// not come twice.
bool Followed::begins_anew(const Found& found, const Done& done) const {
  if (found.bytes < done.bytes) return true;
  if (found.changed_ns == done.changed_ns) return false;
  const UniqueFd fd(::open(found.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (fd.get() < 0) return false;
  const Head head = head_of(fd.get(), done.head.bytes);
  return head.bytes < done.head.bytes || head.hash != done.head.hash;
}

Followed::Head Followed::head_of(int fd, uint32_t most) {
  char bytes[kHead];
  const ssize_t n = pread(fd, bytes, std::min(most, kHead), 0);
  Head head{.bytes = static_cast<uint32_t>(std::max<ssize_t>(n, 0)), .hash = 14695981039346656037u};
  for (uint32_t i = 0; i < head.bytes; i++) {
    head.hash = (head.hash ^ static_cast<unsigned char>(bytes[i])) * 1099511628211u;
  }
  return head;
}

void Followed::is_done(int fd, const Head& head) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return;
  const Found found = found_as({}, status);
  const std::scoped_lock lock(mutex_);
  done_[found.identity] = {.bytes = found.bytes, .changed_ns = found.changed_ns, .head = head};
}

void Followed::is_done(const Found& found) {
  const UniqueFd fd(::open(found.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  const Head head = fd.get() >= 0 ? head_of(fd.get(), kHead) : Head{};
  const std::scoped_lock lock(mutex_);
  done_[found.identity] = {.bytes = found.bytes, .changed_ns = found.changed_ns, .head = head};
}

Tail::Next FollowedTail::decide(int fd) {
  files_->watch().reset();
  struct stat status {};
  if (fstat(fd, &status) != 0) return Next::kEnd;
  const auto end = static_cast<int64_t>(lseek(fd, 0, SEEK_CUR));
  const Followed::Found now = found_as({}, status);
  if (!head_ || head_->bytes == 0) head_ = Followed::head_of(fd, kHead);
  if (now.bytes > end) {
    is_last_ = false;
    return Next::kMore;
  }
  if (now.bytes == end && !is_last_) {
    is_last_ = files_->has_other_than(now.identity);
    return is_last_ ? Next::kMore : Next::kWait;
  }
  // One that was cut begins anew: it is not done.
  if (now.bytes == end) files_->is_done(fd, *head_);
  return Next::kEnd;
}

#endif

Tail::Next FollowedTail::at_end(int fd) noexcept {
  try {
    return decide(fd);
  } catch (const std::exception&) {
    return Next::kWait;  // no memory: perhaps later
  }
}

}  // namespace ringtap::file
