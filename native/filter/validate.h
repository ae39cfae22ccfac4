// Is a classic-BPF program safe to run, here and in the kernel?
#pragma once

#include "core/program.h"
#include "filter/opcodes.h"

namespace ringtap {

/// Checks what Linux and libpcap demand before they load a program: known opcodes, jumps that stay inside, scratch
/// index below 16, no constant division by zero, constant shifts below 32, a return at the end, 1 to `most`
/// instructions. `position` of the error is the index of the offending instruction.
///
/// WHY: an unconditional jump may go backwards, because libpcap compiles `protochain` to a loop. The kernel refuses
/// it; FilterVm runs it on a budget of steps.
Result<Ok> validate(const Program& program, size_t most = bpf::kMaxInstructions);

/// Does the program jump backwards?
bool has_loop(const Program& program);

}  // namespace ringtap
