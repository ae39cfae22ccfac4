#include "filter/ebpf_flow.h"

#include <algorithm>

#include "filter/opcodes.h"

namespace ringtap::ebpf {
namespace {

using namespace bpf;

constexpr uint32_t kUnvisited = 0xffffffff;

// One bit for each thing that a program can remember: scratch words 0 to 15, then the two registers.
constexpr uint32_t kBitA = 1u << 16;
constexpr uint32_t kBitX = 1u << 17;

struct Effect {
  uint32_t reads = 0;
  uint32_t writes = 0;
};

Effect effect(const BpfInsn& insn) {
  const uint32_t operand = (insn.code & kX) != 0 ? kBitX : 0;
  switch (insn.code) {
    case kLd | kMem:
      return {.reads = 1u << insn.k, .writes = kBitA};
    case kLdx | kMem:
      return {.reads = 1u << insn.k, .writes = kBitX};
    case kSt:
      return {.reads = kBitA, .writes = 1u << insn.k};
    case kStx:
      return {.reads = kBitX, .writes = 1u << insn.k};
    case kMisc | kTax:
      return {.reads = kBitA, .writes = kBitX};
    case kMisc | kTxa:
      return {.reads = kBitX, .writes = kBitA};
    case kRet | kA:
      return {.reads = kBitA};
    case kRet | kK:
    case kJmp | kJa:
      return {};
  }
  switch (instruction_class(insn.code)) {
    case kLd:
      return {.reads = (insn.code & 0xe0) == kInd ? kBitX : 0, .writes = kBitA};
    case kLdx:
      return {.writes = kBitX};
    case kAlu:
      return {.reads = kBitA | operand, .writes = kBitA};
  }
  return {.reads = kBitA | operand};  // a conditional jump
}

template <class Visit>
void for_successors(const Program& program, size_t i, Visit visit) {
  const BpfInsn& insn = program[i];
  if (instruction_class(insn.code) == kRet) return;
  if (insn.code == (kJmp | kJa)) {
    visit(i + 1 + insn.k);
  } else if (instruction_class(insn.code) == kJmp) {
    visit(i + 1 + insn.jt);
    visit(i + 1 + insn.jf);
  } else {
    visit(i + 1);
  }
}

/// What is read before it is written, from the start.
uint32_t live_at_start(const Program& program) {
  std::vector<uint32_t> live(program.size());
  for (size_t i = program.size(); i-- > 0;) {
    uint32_t after = 0;
    for_successors(program, i, [&](size_t next) { after |= live[next]; });
    const Effect does = effect(program[i]);
    live[i] = (after & ~does.writes) | does.reads;
  }
  return live[0];
}

uint32_t common_keep(const Program& program, const std::vector<bool>& reachable) {
  uint32_t keep = 0;
  for (size_t i = 0; i < program.size(); i++) {
    if (!reachable[i] || instruction_class(program[i].code) != kRet) continue;
    if (program[i].code == (kRet | kA)) return 0;
    if (program[i].k == 0) continue;
    if (keep != 0 && keep != program[i].k) return 0;
    keep = program[i].k;
  }
  return keep;
}

}  // namespace

uint32_t load_end(const BpfInsn& insn) {
  uint64_t end = 0;
  switch (insn.code) {
    case kLd | kW | kAbs:
      end = uint64_t{insn.k} + 4;
      break;
    case kLd | kH | kAbs:
      end = uint64_t{insn.k} + 2;
      break;
    case kLd | kB | kAbs:
    case kLdx | kB | kMsh:
      end = uint64_t{insn.k} + 1;
      break;
  }
  return static_cast<uint32_t>(std::min<uint64_t>(end, kUnvisited));
}

Flow analyse(const Program& program) {
  Flow flow;
  flow.reachable.resize(program.size());
  flow.checked.assign(program.size(), kUnvisited);
  flow.reachable[0] = true;
  flow.checked[0] = 0;
  // Jumps lead forward: everything that leads to an instruction has been seen before it.
  for (size_t i = 0; i < program.size(); i++) {
    if (!flow.reachable[i]) continue;
    const uint32_t known = std::max(flow.checked[i], load_end(program[i]));
    for_successors(program, i, [&](size_t next) {
      flow.reachable[next] = true;
      flow.checked[next] = std::min(flow.checked[next], known);
    });
    flow.uses_length |= program[i].code == (kLd | kW | kLen) || program[i].code == (kLdx | kW | kLen);
  }
  const uint32_t live = live_at_start(program);
  flow.reads_a = (live & kBitA) != 0;
  flow.reads_x = (live & kBitX) != 0;
  flow.reads_scratch = static_cast<uint16_t>(live);
  flow.keep = common_keep(program, flow.reachable);
  return flow;
}

}  // namespace ringtap::ebpf
