// What can be known about a classic program before it runs. Forward jumps only.
#pragma once

#include <cstdint>
#include <vector>

#include "core/program.h"

namespace ringtap::ebpf {

struct Flow {
  std::vector<bool> reachable;

  /// So many bytes of the packet are there whenever this instruction runs: loads on every path to it have shown that.
  std::vector<uint32_t> checked;

  // Read before they are written on some path: these must start as zero.
  bool reads_a = false;
  bool reads_x = false;
  uint16_t reads_scratch = 0;  // one bit a word

  bool uses_length = false;

  /// How many bytes every accepted packet keeps; 0 if that differs from packet to packet, or none is accepted.
  uint32_t keep = 0;
};

/// `program` has passed validate() and has no loop.
Flow analyse(const Program& program);

/// Where the bytes end that a load at a constant offset reads; 0 for any other instruction.
uint32_t load_end(const BpfInsn& insn);

}  // namespace ringtap::ebpf
