// What EAL and the drivers say: kept for errors, printed only for NODE_DEBUG=ringtap.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace ringtap::dpdk {

/// Takes DPDK's log away from the terminal and syslog. Once, before EAL starts.
void capture_log();

/// The same for libxdp and libbpf, which drivers bring along and which print by themselves. After EAL has started.
void capture_library_logs();

/// While it lives, EAL's words of doom ("EAL: FATAL: …") stay away from the terminal. WHY: EAL prints them past its
/// log, into which it writes the same.
class QuietStderr {
 public:
  QuietStderr();
  ~QuietStderr();
  QuietStderr(const QuietStderr&) = delete;
  QuietStderr& operator=(const QuietStderr&) = delete;

 private:
  FILE* const before_;
};

/// The lines since this mark was made are those of one operation.
class LogMark {
 public:
  LogMark();
  /// The last few lines since then, joined with "; ". Empty if there were none.
  std::string lines() const;
  /// `what`, and after a colon what DPDK said.
  std::string explain(const std::string& what) const;

 private:
  uint64_t from_;
};

}  // namespace ringtap::dpdk
