// What every peer does with a packet, and how it says what that cost. bench/readers/ does the same in JS.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "numbers.h"

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

/// The same, and the number and (if asked) the stamp of frames that ringtap-pktgen made: UDP over IPv4, no VLAN.
struct NumberedWork : Work {
  Numbers numbers;
  bool stamped = std::getenv("RINGTAP_BENCH_STAMPED") != nullptr;
  std::vector<double> latency_us;

  void look(const void* packet, uint32_t caplen) {
    Work::look(packet, caplen);
    const auto* p = static_cast<const uint8_t*>(packet);
    uint32_t number;  // the lower half
    std::memcpy(&number, p + 46, sizeof number);
    numbers.see(__builtin_bswap32(number));
    if (stamped) look_at_stamp(p + 50);
  }

 private:
  void look_at_stamp(const uint8_t* at) {
    uint64_t stamp;
    std::memcpy(&stamp, at, sizeof stamp);
    timespec now{};
    clock_gettime(CLOCK_TAI, &now);
    const int64_t now_ns = int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
    latency_us.push_back(static_cast<double>(now_ns - static_cast<int64_t>(__builtin_bswap64(stamp))) / 1e3);
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
                ",\"user\":%.0f,\"system\":%.0f,\"wall\":%.0f,\"waits\":%ld,\"rssKiB\":%ld%s}\n",
                work.packets, work.bytes, work.sum, microseconds(now.ru_utime) - microseconds(usage_.ru_utime),
                microseconds(now.ru_stime) - microseconds(usage_.ru_stime), wall.count(),
                now.ru_nvcsw - usage_.ru_nvcsw, now.ru_maxrss, more);
    std::fflush(stdout);
  }

  /// The same figures so far, as a JSON object.
  std::string lap(uint64_t packets) const {
    const rusage now = usage();
    const std::chrono::duration<double, std::micro> wall = std::chrono::steady_clock::now() - start_;
    return "{\"packets\":" + std::to_string(packets) +
           ",\"user\":" + std::to_string(microseconds(now.ru_utime) - microseconds(usage_.ru_utime)) +
           ",\"system\":" + std::to_string(microseconds(now.ru_stime) - microseconds(usage_.ru_stime)) +
           ",\"wall\":" + std::to_string(wall.count()) +
           ",\"waits\":" + std::to_string(now.ru_nvcsw - usage_.ru_nvcsw) + "}";
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

  NumberedWork work;

  /// After each batch; false when the transfer is over. `idle`: nothing came for kPatienceMs / 10.
  bool go_on(bool idle) {
    const uint64_t got = work.packets - counted_;
    if (got > 0) {
      counted_ = work.packets;
      batches_++;
      largest_ = std::max(largest_, got);
    }
    if (!warm_ && seen() >= warmup_) warm_up();
    while (next_lap_ < laps_at_.size() && seen() >= laps_at_[next_lap_]) {
      laps_ += (next_lap_++ > 0 ? "," : "") + meter_.lap(work.packets);
    }
    if (idle) {
      quiet_ms_ += seen() > 0 ? kPatienceMs / 10 : 0;
    } else {
      quiet_ms_ = 0;
    }
    return seen() < warmup_ + count_ && quiet_ms_ < kPatienceMs;
  }

  /// `dropped`: as the capture method counts.
  void print(uint64_t dropped) {
    const Numbers::Result numbers = work.numbers.result();
    const uint64_t unique = seen() - std::min(seen(), numbers.duplicates);
    std::string more = ",\"missing\":" + std::to_string(warmup_ + count_ - std::min(unique, warmup_ + count_)) +
                       ",\"reordered\":" + std::to_string(numbers.reordered) +
                       ",\"duplicates\":" + std::to_string(numbers.duplicates) +
                       ",\"dropped\":" + std::to_string(dropped) + ",\"batches\":" + std::to_string(batches_) +
                       ",\"largest\":" + std::to_string(largest_);
    if (work.stamped) more += ",\"latency\":" + latency();
    if (!laps_at_.empty()) more += ",\"laps\":[" + laps_ + "]";
    meter_.print(work, more.c_str());
  }

  static constexpr int kPatienceMs = 1000;

 private:
  uint64_t seen() const { return skipped_ + work.packets; }

  /// RINGTAP_BENCH_LAPS: after how many packets to take the figures, besides the end; ascending.
  static std::vector<uint64_t> laps_asked() {
    std::vector<uint64_t> laps;
    const char* text = std::getenv("RINGTAP_BENCH_LAPS");
    for (; text != nullptr && *text != '\0'; text = std::strchr(text, ',') + 1) {
      laps.push_back(number(text));
      if (std::strchr(text, ',') == nullptr) break;
    }
    return laps;
  }

  void warm_up() {
    warm_ = true;
    skipped_ = work.packets;
    work.packets = work.bytes = counted_ = batches_ = largest_ = 0;
    work.latency_us.clear();
    meter_ = Meter();
  }

  /// { n, p50, p99, p999, max } in µs.
  std::string latency() {
    std::vector<double>& us = work.latency_us;
    std::sort(us.begin(), us.end());
    const auto at = [&us](double share) {
      if (us.empty()) return std::string("null");
      const auto rank = static_cast<size_t>(static_cast<double>(us.size()) * share);
      return std::to_string(us[std::min(us.size() - 1, rank)]);
    };
    return "{\"n\":" + std::to_string(us.size()) + ",\"p50\":" + at(0.5) + ",\"p99\":" + at(0.99) +
           ",\"p999\":" + at(0.999) + ",\"max\":" + at(1) + "}";
  }

  uint64_t warmup_;
  uint64_t count_;
  uint64_t skipped_ = 0;
  uint64_t counted_ = 0;
  uint64_t batches_ = 0;
  uint64_t largest_ = 0;
  int quiet_ms_ = 0;
  bool warm_ = false;
  Meter meter_;
  const std::vector<uint64_t> laps_at_ = laps_asked();
  size_t next_lap_ = 0;
  std::string laps_;
};

}  // namespace peer
