// bpf(2), for which libc has no function.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace ringtap::bpf_call {

/// WHY: the kernel refuses an attr whose bytes behind the last known field are not zero, so all of it starts as zeros.
inline bpf_attr zero_attr() noexcept {
  bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}

inline int bpf(bpf_cmd command, bpf_attr& attr) noexcept {
  return static_cast<int>(syscall(SYS_bpf, command, &attr, sizeof attr));
}

inline uint64_t address(const void* pointer) noexcept {
  // SAFETY: the kernel takes pointers as 64-bit numbers.
  return reinterpret_cast<uintptr_t>(pointer);
}

}  // namespace ringtap::bpf_call
