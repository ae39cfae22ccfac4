// What every peer does with a packet, and how it says what that cost. bench/readers/ does the same in JS.
#pragma once

#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace peer {

/// Reads the Ethernet type and both IPv4 addresses, and sums the captured lengths.
struct Work {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint32_t sum = 0;  // shows that everybody read the same

  void look(const void* packet, uint32_t caplen) {
    const auto* p = static_cast<const uint8_t*>(packet);
    uint16_t type;
    std::memcpy(&type, p + 12, sizeof type);
    if (__builtin_bswap16(type) == 0x0800) {
      uint32_t address[2];
      std::memcpy(address, p + 26, sizeof address);
      sum += __builtin_bswap32(address[0]) ^ __builtin_bswap32(address[1]);
    }
    bytes += caplen;
  }
};

inline double microseconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
}

/// CPU and time used since it was made.
class Meter {
 public:
  void print(const Work& work, const char* more = "") const {
    rusage now{};
    getrusage(RUSAGE_SELF, &now);
    const std::chrono::duration<double, std::micro> wall = std::chrono::steady_clock::now() - start_;
    std::printf("{\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"sum\":%" PRIu32
                ",\"user\":%.0f,\"system\":%.0f,\"wall\":%.0f%s}\n",
                work.packets, work.bytes, work.sum, microseconds(now.ru_utime) - microseconds(usage_.ru_utime),
                microseconds(now.ru_stime) - microseconds(usage_.ru_stime), wall.count(), more);
    std::fflush(stdout);
  }

 private:
  static rusage usage() {
    rusage now{};
    getrusage(RUSAGE_SELF, &now);
    return now;
  }
  rusage usage_ = usage();
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

inline uint64_t number(const char* text) { return std::strtoull(text, nullptr, 10); }

inline void say_ready() { std::fputs("READY\n", stderr); }

/// A reader of live traffic ends when all has come, or nothing came for a while. The first packets warm it up
/// and are not measured.
class Transfer {
 public:
  Transfer(uint64_t warmup, uint64_t count) : warmup_(warmup), count_(count) {}

  Work work;

  /// After each batch; false when the transfer is over. `idle`: nothing came for kPatienceMs / 10.
  bool go_on(bool idle) {
    if (!warm_ && seen() >= warmup_) {
      warm_ = true;
      skipped_ = work.packets;
      work = {};
      meter_ = Meter();
    }
    if (idle) {
      quiet_ms_ += seen() > 0 ? kPatienceMs / 10 : 0;
    } else {
      quiet_ms_ = 0;
    }
    return seen() < warmup_ + count_ && quiet_ms_ < kPatienceMs;
  }

  void print(uint64_t dropped) const {
    const std::string more =
        ",\"missing\":" + std::to_string(warmup_ + count_ - seen()) + ",\"dropped\":" + std::to_string(dropped);
    meter_.print(work, more.c_str());
  }

  static constexpr int kPatienceMs = 1000;

 private:
  uint64_t seen() const { return skipped_ + work.packets; }
  uint64_t warmup_;
  uint64_t count_;
  uint64_t skipped_ = 0;
  int quiet_ms_ = 0;
  bool warm_ = false;
  Meter meter_;
};

}  // namespace peer
