#include "backends/dpdk/module/log.h"

#include <dlfcn.h>
#include <rte_log.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string_view>
#include <utility>

namespace ringtap::dpdk {

namespace {

constexpr size_t kKept = 64;  // lines remembered
constexpr size_t kShown = 6;  // lines in an error
constexpr size_t kLongest = 512;

struct Log {
  std::mutex mutex;
  std::deque<std::string> lines;
  uint64_t count = 0;  // lines ever; the last of `lines` has number count - 1
  std::string partial;
  bool print = false;
};

Log& log() {
  static auto* instance = new Log;  // never destroyed: DPDK's threads may log until the process is gone
  return *instance;
}

// EAL is kept from making a folder, and says so.
constexpr std::string_view kExpected[] = {"/ringtap/none'", "No DPDK runtime directory created"};

void add_line(Log& to, std::string line) {
  const auto is_in = [&](std::string_view text) { return line.find(text) != std::string::npos; };
  if (line.empty() || std::any_of(std::begin(kExpected), std::end(kExpected), is_in)) return;
  if (to.print) std::fprintf(stderr, "RINGTAP %d: %s\n", getpid(), line.c_str());
  to.lines.push_back(std::move(line));
  if (to.lines.size() > kKept) to.lines.pop_front();
  to.count++;
}

ssize_t take(void*, const char* data, size_t bytes) {
  Log& to = log();
  const std::scoped_lock lock(to.mutex);
  for (const char c : std::string_view(data, bytes)) {
    if (c == '\n' || to.partial.size() == kLongest) {
      add_line(to, std::move(to.partial));
      to.partial.clear();
    }
    if (c != '\n') to.partial.push_back(c);
  }
  return static_cast<ssize_t>(bytes);
}

// As libxdp and libbpf both declare it: levels are 0 (a warning), 1 (information) and 2 (debugging).
using LibraryPrint = int (*)(int level, const char* format, va_list arguments);

int take_library_line(int level, const char* format, va_list arguments) {
  if (level > 1) return 0;
  char text[kLongest];
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  if (length > 0) take(nullptr, text, std::min<size_t>(static_cast<size_t>(length), sizeof text - 1));
  return length;
}

/// What C code prints to stderr, but for EAL's FATAL lines.
ssize_t pass_on(void*, const char* data, size_t bytes) {
  if (!std::string_view(data, bytes).starts_with("EAL: FATAL: ")) {
    for (size_t done = 0; done < bytes;) {
      const ssize_t written = write(STDERR_FILENO, data + done, bytes - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) break;
      done += static_cast<size_t>(written);
    }
  }
  return static_cast<ssize_t>(bytes);
}

/// In the place of stderr. Never closed: another thread may be about to print to it.
FILE* filtered_stderr() {
  static FILE* const stream = [] {
    FILE* made = fopencookie(nullptr, "w", {.read = nullptr, .write = pass_on, .seek = nullptr, .close = nullptr});
    if (made != nullptr) setvbuf(made, nullptr, _IOLBF, 0);
    return made;
  }();
  return stream;
}

bool wants_debug() {
  const char* debug = std::getenv("NODE_DEBUG");
  return debug != nullptr && std::string_view(debug).find("ringtap") != std::string_view::npos;
}

}  // namespace

void capture_log() {
  static std::once_flag once;
  std::call_once(once, [] {
    log().print = wants_debug();
    FILE* stream = fopencookie(nullptr, "w", {.read = nullptr, .write = take, .seek = nullptr, .close = nullptr});
    if (stream == nullptr) return;
    setvbuf(stream, nullptr, _IOLBF, 0);
    rte_openlog_stream(stream);
  });
}

void capture_library_logs() {
  for (const auto& [file, setter] :
       {std::pair("libxdp.so.1", "libxdp_set_print"), std::pair("libbpf.so.1", "libbpf_set_print"),
        std::pair("libbpf.so.0", "libbpf_set_print")}) {
    void* library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) continue;
    // SAFETY: POSIX lets dlsym() return functions; both libraries declare it so.
    const auto set_print = reinterpret_cast<LibraryPrint (*)(LibraryPrint)>(dlsym(library, setter));
    if (set_print != nullptr) set_print(take_library_line);
    dlclose(library);
  }
}

// WHY the variable and not the descriptor: other threads may write to the terminal meanwhile. Elsewhere than in the GNU
// library it cannot be set.
QuietStderr::QuietStderr() : before_(stderr) {
#ifdef __GLIBC__
  if (FILE* stream = filtered_stderr(); stream != nullptr) stderr = stream;
#endif
}

QuietStderr::~QuietStderr() {
#ifdef __GLIBC__
  if (stderr != before_) std::fflush(stderr);
  stderr = before_;
#endif
}

LogMark::LogMark() {
  Log& from = log();
  const std::scoped_lock lock(from.mutex);
  from_ = from.count;
}

std::string LogMark::lines() const {
  Log& from = log();
  const std::scoped_lock lock(from.mutex);
  const uint64_t first_kept = from.count - from.lines.size();
  const uint64_t wanted = from.count > kShown ? from.count - kShown : 0;
  std::string text;
  for (uint64_t i = std::max({from_, first_kept, wanted}); i < from.count; i++) {
    if (!text.empty()) text += "; ";
    text += from.lines[i - first_kept];
  }
  return text;
}

std::string LogMark::explain(const std::string& what) const {
  const std::string said = lines();
  return said.empty() ? what : what + ": " + said;
}

}  // namespace ringtap::dpdk
