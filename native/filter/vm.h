// The classic-BPF machine: decides in user space what a filter keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/program.h"

namespace ringtap {

/// Runs one program, decoded once. Decides exactly as libpcap's bpf_filter() does: a load beyond the captured bytes
/// rejects the packet, and so does an offset that means metadata to a kernel. Scratch memory starts as zeros.
class FilterVm {
 public:
  /// `program` has passed validate().
  explicit FilterVm(const Program& program);

  /// How many bytes of the packet to keep; 0 rejects it.
  uint32_t run(const std::byte* data, uint32_t wirelen, uint32_t caplen) const noexcept;

 private:
  struct Op {
    uint16_t operation = 0;
    uint16_t jt = 0;  // where to go on, counted from the start of the program
    uint16_t jf = 0;
    uint32_t k = 0;
    uint32_t value = 0;  // what a fused load is compared with
  };

  std::vector<Op> ops_;
  bool uses_scratch_ = false;
};

}  // namespace ringtap
