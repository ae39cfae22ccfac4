// bpf(2), for which libc has no function.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace ringtap::bpf_call {

/// WHY: the kernel refuses an attr whose bytes behind the last known field are not zero, so all of it starts as zeros.
inline bpf_attr zero_attr() noexcept {
  bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}

/// WHY again: the kernel gives up looking a program over when a signal comes, and says EAGAIN; V8 sends itself some.
inline int bpf(bpf_cmd command, bpf_attr& attr) noexcept {
  constexpr int kMostTries = 10;
  for (int tries = 1;; tries++) {
    const auto made = static_cast<int>(syscall(SYS_bpf, command, &attr, sizeof attr));
    if (made >= 0 || command != BPF_PROG_LOAD || errno != EAGAIN || tries == kMostTries) return made;
  }
}

inline uint64_t address(const void* pointer) noexcept {
  // SAFETY: the kernel takes pointers as 64-bit numbers.
  return reinterpret_cast<uintptr_t>(pointer);
}

}  // namespace ringtap::bpf_call
