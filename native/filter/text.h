// Classic-BPF programs as text, the way `tcpdump -d` prints them.
#pragma once

#include <string>

#include "core/program.h"

namespace ringtap {

/// One instruction, for example "(001) jeq      #0x800           jt 2\tjf 10".
std::string disassemble(const BpfInsn& insn, size_t index);

/// A program, one line an instruction, each ending in a newline.
std::string disassemble(const Program& program);

}  // namespace ringtap
