#include "backends/afxdp/clock.h"

#include <ctime>
#include <fstream>
#include <string>

namespace ringtap::afxdp {

int64_t clock_ns(int clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int64_t time_namespace_offset() {
  std::ifstream offsets("/proc/self/timens_offsets");
  std::string clock;
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  while (offsets >> clock >> seconds >> nanoseconds) {
    if (clock == "monotonic") return seconds * 1'000'000'000 + nanoseconds;
  }
  return 0;
}

}  // namespace ringtap::afxdp
