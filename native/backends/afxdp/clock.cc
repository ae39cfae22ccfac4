#include "backends/afxdp/clock.h"

#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <string>

#include "core/text.h"

namespace ringtap::afxdp {

int64_t clock_ns(int clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int64_t time_namespace_offset() {
  for (const std::string& line : lines_of(content_of("/proc/self/timens_offsets"))) {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    if (std::sscanf(line.c_str(), "monotonic %" SCNd64 " %" SCNd64, &seconds, &nanoseconds) == 2)
      return seconds * 1'000'000'000 + nanoseconds;
  }
  return 0;
}

}  // namespace ringtap::afxdp
