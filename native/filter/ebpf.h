// Classic filter programs translated to eBPF, for the start of an XDP program.
#pragma once

#include <cstdint>
#include <string>

#include "core/program.h"
#include "filter/ebpf_asm.h"

namespace ringtap::ebpf {

/// How a filter reads the packet.
enum class Access : uint8_t {
  kDirect,     // through packet pointers; where an offset is variable, the kernel asks for CAP_PERFMON
  kMixed,      // constant offsets through packet pointers, variable ones through bpf_xdp_load_bytes (Linux 5.18)
  kLoadBytes,  // all through bpf_xdp_load_bytes: slowest, always allowed
};

/// Where the packet's length comes from.
enum class Length : uint8_t {
  kHelper,    // bpf_xdp_get_buff_len (Linux 5.18)
  kPointers,  // data_end − data: for older kernels; the kernel asks for CAP_PERFMON
};

struct FilterOptions {
  Access access = Access::kDirect;
  Length length = Length::kHelper;
  /// Packets may come in fragments, of which packet pointers reach the first only: what lies behind it is read through
  /// bpf_xdp_load_bytes.
  bool frags = false;
};

/// The stack from here up belongs to the filter.
inline constexpr int16_t kFilterStack = -80;

/// Appends the filter: from the register R6 that holds the XDP context, which it leaves as it is, to one of the labels.
/// All other registers are lost. Decides exactly as FilterVm does, for packets up to 65,536 bytes.
///
/// Returns how many bytes of each accepted packet the program keeps, 0 if that differs from packet to packet: FilterVm
/// then knows. An error says why the program has no counterpart in XDP (it loops, or reads the kernel's metadata): such
/// a filter runs in user space. `program` has passed validate().
Result<uint32_t> append_filter(Assembler& to, const Program& program, const FilterOptions& options, Label accept,
                               Label reject);

}  // namespace ringtap::ebpf
