#include "backends/dpdk/module/log.h"

#include <rte_log.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string_view>

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

void add_line(Log& to, std::string line) {
  if (line.empty()) return;
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
