#include "io/section_index.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#ifndef _WIN32
#include <unistd.h>
#endif

#include "core/byte_order.h"

namespace ringtap {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "RTIDX\r\n\x1a"sv;
constexpr uint32_t kVersion = 1;
constexpr size_t kHeadBytes = 64;
constexpr size_t kEntryBytes = 48;
constexpr size_t kLeastEntryBytes = 24;  // without times
constexpr uint64_t kDescribes = 1;
constexpr size_t kEnd = 64;  // of the trace, at either end
constexpr uint64_t kMostEntries = 1u << 24;

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

File open_to_read(const std::string& path) {
#ifdef _WIN32
  return File(std::fopen(path.c_str(), "rb"));
#else
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat status {};
  if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return File(fdopen(fd, "rb"));
  if (fd >= 0) ::close(fd);
  return nullptr;
#endif
}

/// A file that is not there yet, or was left behind by one that could not be completed. No link is followed.
File open_to_write(const std::string& path) {
#ifdef _WIN32
  return File(std::fopen(path.c_str(), "wb"));
#else
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0666);
  return fd >= 0 ? File(fdopen(fd, "wb")) : nullptr;
#endif
}

uint64_t hash(std::string_view bytes) noexcept {
  uint64_t sum = 14695981039346656037u;
  for (const char c : bytes) sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return sum;
}

template <class T>
void put(std::string& to, T value) {
  if constexpr (kHostIsBig) value = swap_bytes(value);
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
T get(const std::string& from, size_t at) noexcept {
  T value{};
  std::memcpy(&value, from.data() + at, sizeof value);
  return kHostIsBig ? swap_bytes(value) : value;
}

std::string read_at(std::FILE* file, int64_t offset, int whence, size_t bytes) {
  std::string got(bytes, 0);
#ifdef _WIN32
  if (_fseeki64(file, offset, whence) != 0) return {};
#else
  if (fseeko(file, offset, whence) != 0) return {};
#endif
  got.resize(std::fread(got.data(), 1, bytes, file));
  return got;
}

/// What an index knows its trace by: its length, and hashes of both ends. Empty where it cannot be read.
std::string likeness(const std::string& trace) {
  const File file = open_to_read(trace);
  if (file == nullptr) return {};
  const std::string head = read_at(file.get(), 0, SEEK_SET, kEnd);
  std::fseek(file.get(), 0, SEEK_END);
#ifdef _WIN32
  const int64_t length = _ftelli64(file.get());
#else
  const int64_t length = ftello(file.get());
#endif
  if (length < 0) return {};
  const auto end = std::min<int64_t>(length, kEnd);
  const std::string tail = read_at(file.get(), -end, SEEK_END, static_cast<size_t>(end));
  std::string is;
  put(is, static_cast<uint64_t>(length));
  put(is, hash(head));
  put(is, hash(tail));
  return is;
}

bool is_index(const std::string& path) {
  const File file = open_to_read(path);
  return file != nullptr && read_at(file.get(), 0, SEEK_SET, kMagic.size()) == kMagic;
}

bool exists(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

/// Whether the trace was written to after the index.
bool is_older(std::FILE* index, const std::string& trace) {
#ifdef _WIN32
  (void)index;
  (void)trace;
  return false;
#else
  struct stat ours {};
  struct stat theirs {};
  if (fstat(fileno(index), &ours) != 0 || stat(trace.c_str(), &theirs) != 0) return true;
#ifdef __APPLE__
  const auto [a, b] = std::pair{ours.st_mtimespec, theirs.st_mtimespec};
#else
  const auto [a, b] = std::pair{ours.st_mtim, theirs.st_mtim};
#endif
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
#endif
}

Error no_index(Code code, const std::string& trace, const std::string& why) {
  return Error{.code = code, .message = index_path(trace) + ": " + why};
}

}  // namespace

std::string index_path(const std::string& trace) { return trace + ".rtidx"; }

int write_index(const std::string& trace, const SectionIndex& index) {
  const std::string path = index_path(trace);
  if (exists(path) && !is_index(path)) return EEXIST;
  const std::string is = likeness(trace);
  if (is.empty()) return ENOENT;
  std::string bytes(kMagic);
  put(bytes, kVersion);
  put(bytes, static_cast<uint32_t>(kEntryBytes));
  bytes += is;
  put(bytes, index.head_bytes);
  put(bytes, uint32_t{0});
  put(bytes, static_cast<uint64_t>(index.sections.size()));
  put(bytes, index.before_first);
  for (const Section& section : index.sections) {
    put(bytes, section.compressed);
    put(bytes, section.decompressed);
    put(bytes, static_cast<uint64_t>(section.first_time));
    put(bytes, static_cast<uint64_t>(section.earliest));
    put(bytes, static_cast<uint64_t>(section.latest));
    put(bytes, section.describes ? kDescribes : uint64_t{0});
  }
  const std::string part = path + ".part";
  File file = open_to_write(part);
  if (file == nullptr) return errno;
  const bool is_written = std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  const bool is_done = std::fclose(file.release()) == 0 && is_written && std::rename(part.c_str(), path.c_str()) == 0;
  const int err = errno;
  if (!is_done) std::remove(part.c_str());
  return is_done ? 0 : err;
}

Result<SectionIndex> read_index(const std::string& trace) {
  const File file = open_to_read(index_path(trace));
  if (file == nullptr) return no_index(Code::kFileOpen, trace, "cannot be opened");
  const std::string head = read_at(file.get(), 0, SEEK_SET, kHeadBytes);
  if (head.size() < kHeadBytes || head.compare(0, kMagic.size(), kMagic) != 0 || get<uint32_t>(head, 8) != kVersion)
    return no_index(Code::kFileFormat, trace, "is no index, or one of a newer version");
  if (head.substr(16, 24) != likeness(trace))
    return no_index(Code::kFileFormat, trace, "is the index of another trace, or the trace was changed since");
  if (is_older(file.get(), trace))
    return no_index(Code::kFileFormat, trace, "is older than the trace, which may have been changed since");
  const auto entry_bytes = get<uint32_t>(head, 12);
  const auto count = get<uint64_t>(head, 48);
  SectionIndex index{.head_bytes = get<uint32_t>(head, 40), .before_first = get<uint64_t>(head, 56), .sections = {}};
  if (entry_bytes < kLeastEntryBytes || entry_bytes > 4096 || count > kMostEntries || index.head_bytes > 64)
    return no_index(Code::kFileFormat, trace, "contradicts itself");
  const auto length = get<uint64_t>(head, 16);
  for (uint64_t i = 0; i < count; i++) {
    std::string entry(entry_bytes, 0);
    if (std::fread(entry.data(), 1, entry_bytes, file.get()) != entry_bytes)
      return no_index(Code::kFileFormat, trace, "is cut short");
    Section section{.compressed = get<uint64_t>(entry, 0),
                    .decompressed = get<uint64_t>(entry, 8),
                    .first_time = static_cast<int64_t>(get<uint64_t>(entry, 16))};
    if (entry_bytes >= kEntryBytes) {
      section.earliest = static_cast<int64_t>(get<uint64_t>(entry, 24));
      section.latest = static_cast<int64_t>(get<uint64_t>(entry, 32));
      section.describes = (get<uint64_t>(entry, 40) & kDescribes) != 0;
    }
    const bool in_order = index.sections.empty() || (section.compressed > index.sections.back().compressed &&
                                                     section.decompressed > index.sections.back().decompressed);
    if (!in_order || section.compressed > length) return no_index(Code::kFileFormat, trace, "contradicts itself");
    index.sections.push_back(section);
  }
  index.length = length;
  return index;
}

std::vector<Piece> pieces_between(const SectionIndex& index, int64_t from, int64_t to) {
  const auto& sections = index.sections;
  if (sections.empty() ||
      std::none_of(sections.begin(), sections.end(), [](const Section& s) { return s.has_times(); }))
    return {};
  const auto end_of = [&sections](size_t i) {
    return i + 1 < sections.size() ? sections[i + 1].decompressed : std::numeric_limits<uint64_t>::max();
  };
  const auto is_needed = [&index, from, to](const Section& section) {
    const bool is_head = section.decompressed > 0 && section.decompressed < index.before_first;
    return is_head || section.describes || !section.has_times() || (section.earliest <= to && section.latest >= from);
  };
  // Formats and interfaces are told before the first packet.
  const bool is_head_enough = index.before_first > 0 && !is_needed(sections[0]);
  std::vector<Piece> pieces{{.bytes = is_head_enough ? std::min(index.before_first, end_of(0)) : end_of(0)}};
  for (size_t i = 1; i < sections.size(); i++) {
    if (!is_needed(sections[i])) continue;
    Piece& last = pieces.back();
    const uint64_t at = sections[i].decompressed;
    if (last.decompressed + last.bytes == at) {
      last.bytes = end_of(i) - (i + 1 < sections.size() ? last.decompressed : 0);
    } else {
      pieces.push_back({.compressed = sections[i].compressed,
                        .decompressed = at,
                        .bytes = end_of(i) - (i + 1 < sections.size() ? at : 0)});
    }
  }
  return pieces;
}

void move_index(const std::string& from, const std::string& to) noexcept {
  forget_index(to);
  try {
    const std::string index = index_path(from);
    if (!is_index(index)) return;
    const std::string path = index_path(to);
    // What is left of that name is somebody's file.
    if (exists(path) || std::rename(index.c_str(), path.c_str()) != 0) std::remove(index.c_str());
  } catch (const std::bad_alloc&) {
    return;  // without an index it is read as any other
  }
}

void forget_index(const std::string& trace) noexcept {
  try {
    const std::string path = index_path(trace);
    if (is_index(path)) std::remove(path.c_str());
  } catch (const std::bad_alloc&) {
    return;  // what is left behind is not of this trace, which its readers see
  }
}

}  // namespace ringtap
