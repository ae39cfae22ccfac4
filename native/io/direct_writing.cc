#include "io/direct_writing.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#ifdef __linux__
#include <fcntl.h>
#include <unistd.h>
#endif

namespace ringtap {
namespace {

constexpr size_t kPage = 4096;  // what each file system and disk is content with
constexpr size_t kMemory = 1 << 20;

#ifdef __linux__
size_t write_at(int fd, const std::byte* bytes, size_t count, uint64_t at) noexcept {
  size_t done = 0;
  while (done < count) {
    const ssize_t n = ::pwrite(fd, bytes + done, count - done, static_cast<off_t>(at + done));
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      break;
    }
  }
  return done;
}
#endif

}  // namespace

#ifdef __linux__

Result<std::unique_ptr<DirectWriting>> DirectWriting::begin(int fd, const std::string& path) {
  auto memory = Region::allocate(kMemory);
  if (!memory) return std::move(memory).error();
  std::unique_ptr<DirectWriting> made(new DirectWriting(fd, *std::move(memory)));
  if (made->set_direct(true)) return made;
  Error error =
      system_error(Code::kUnsupported, path + ": its file system is not written past the page cache", "fcntl", errno);
  error.hint = "Leave out direct, or write to another file system.";
  return error;
}

bool DirectWriting::set_direct(bool direct) noexcept {
  if (is_direct_ == direct) return true;
  const int flags = fcntl(fd_, F_GETFL);
  if (flags < 0 || fcntl(fd_, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) != 0) return false;
  is_direct_ = direct;
  return true;
}

void DirectWriting::end() noexcept {
  set_direct(false);
  ended_ = true;
}

size_t DirectWriting::write(std::span<const std::byte> bytes) noexcept {
  const uint64_t begin = size_;
  std::byte* const memory = memory_->base();
  while (!ended_ && size_ - begin < bytes.size()) {
    const auto left = bytes.subspan(size_ - begin);
    const size_t tail = size_ % kPage;
    const size_t count = std::min(kMemory - tail, left.size());
    std::memcpy(memory + tail, left.data(), count);
    const size_t whole = (tail + count) / kPage * kPage;
    const uint64_t page = size_ - tail;
    const size_t put = past_cache(memory, whole, page);
    size_ = std::max(size_, page + put);
    if (put < whole) {
      end();  // WHY: the last blocks of a disk that fills up are found through the cache only
      break;
    }
    const size_t rest = tail + count - whole;
    if (whole > 0) std::memmove(memory, memory + whole, rest);
    const size_t from = whole > 0 ? 0 : tail;
    const size_t more = through_cache(memory + from, rest - from);
    size_ += more;
    if (more < rest - from) return size_ - begin;
  }
  const size_t done = size_ - begin;
  if (done < bytes.size()) size_ += through_cache(bytes.data() + done, bytes.size() - done);
  return size_ - begin;
}

size_t DirectWriting::past_cache(const std::byte* bytes, size_t count, uint64_t at) noexcept {
  return count > 0 && set_direct(true) ? write_at(fd_, bytes, count, at) : 0;
}

/// At the end of the file.
size_t DirectWriting::through_cache(const std::byte* bytes, size_t count) noexcept {
  return count > 0 && set_direct(false) ? write_at(fd_, bytes, count, size_) : 0;
}

#else

Result<std::unique_ptr<DirectWriting>> DirectWriting::begin(int, const std::string& path) {
  return Error{.code = Code::kUnsupported, .message = path + ": this system does not write past the page cache"};
}
size_t DirectWriting::write(std::span<const std::byte>) noexcept { return 0; }
void DirectWriting::end() noexcept {}

#endif

}  // namespace ringtap
