#include "filter/validate.h"

#include "filter/text.h"

namespace ringtap {
namespace {

using namespace bpf;

Error bad(size_t index, std::string why) {
  return Error{.code = Code::kBadFilter,
               .message = "filter program, instruction " + std::to_string(index) + ": " + std::move(why),
               .hint = {},
               .syscall = {},
               .position = static_cast<int64_t>(index)};
}

bool uses_scratch(uint16_t code) {
  return code == (kLd | kMem) || code == (kLdx | kMem) || code == kSt || code == kStx;
}

/// Why this instruction is refused; empty if it is not.
std::string objection(const Program& program, size_t index) {
  const BpfInsn& insn = program[index];
  const size_t rest = program.size() - index - 1;
  if (!is_instruction(insn.code)) return "unknown opcode " + std::to_string(insn.code);
  if (uses_scratch(insn.code) && insn.k >= kScratchWords) {
    return "scratch memory has 16 words, not " + std::to_string(insn.k);
  }
  switch (insn.code) {
    case kAlu | kDiv | kK:
    case kAlu | kMod | kK:
      return insn.k == 0 ? "division by zero" : "";
    case kAlu | kLsh | kK:
    case kAlu | kRsh | kK:
      return insn.k >= 32 ? "shift by " + std::to_string(insn.k) + " bits of 32" : "";
    case kJmp | kJa: {
      const int64_t target = static_cast<int64_t>(index) + 1 + static_cast<int32_t>(insn.k);
      if (target < 0 || target >= static_cast<int64_t>(program.size())) return "jump out of the program";
      return "";
    }
  }
  if (instruction_class(insn.code) == kJmp && (insn.jt >= rest || insn.jf >= rest)) return "jump out of the program";
  return "";
}

}  // namespace

Result<Ok> validate(const Program& program, size_t most) {
  if (program.empty()) return bad(0, "the program is empty");
  if (program.size() > most) {
    return bad(most, "a program has at most " + std::to_string(most) + " instructions, this one " +
                         std::to_string(program.size()));
  }
  for (size_t i = 0; i < program.size(); i++) {
    std::string why = objection(program, i);
    if (!why.empty()) return bad(i, std::move(why) + ": " + disassemble(program[i], i));
  }
  const size_t last = program.size() - 1;
  if (instruction_class(program[last].code) != kRet) {
    return bad(last, "the last instruction must be a return: " + disassemble(program[last], last));
  }
  return Ok{};
}

bool has_loop(const Program& program) {
  for (const BpfInsn& insn : program) {
    if (insn.code == (kJmp | kJa) && static_cast<int32_t>(insn.k) < 0) return true;
  }
  return false;
}

}  // namespace ringtap
