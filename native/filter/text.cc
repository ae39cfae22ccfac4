#include "filter/text.h"

#include <cinttypes>
#include <cstdio>

#include "filter/opcodes.h"

namespace ringtap {
namespace {

using namespace bpf;

std::string format(const char* pattern, uint32_t value) {
  char text[48];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

/// tcpdump prints offsets and counts as signed numbers.
std::string decimal(const char* before, uint32_t k, const char* after = "") {
  return before + std::to_string(static_cast<int32_t>(k)) + after;
}

std::string hex(uint32_t k) { return format("#0x%" PRIx32, k); }

const char* metadata_name(uint32_t k) {
  static constexpr const char* kNames[] = {"proto", "type",   "ifidx",  "nla",      "nlan",  "mark",
                                           "queue", "hatype", "rxhash", "cpu",      "xor_x", "vlan_tci",
                                           "vlanp", "poff",   "random", "vlan_tpid"};
  if (k < kKernelMetadata || (k - kKernelMetadata) % 4 != 0) return nullptr;
  const uint32_t index = (k - kKernelMetadata) / 4;
  return index < sizeof kNames / sizeof *kNames ? kNames[index] : nullptr;
}

std::string absolute(uint32_t k) {
  const char* name = metadata_name(k);
  return name != nullptr ? "[" + std::string(name) + "]" : decimal("[", k, "]");
}

const char* load_name(uint16_t code) {
  switch (code & 0x18) {
    case kH:
      return "ldh";
    case kB:
      return "ldb";
  }
  return "ld";
}

struct Parts {
  std::string name;
  std::string operand;
};

Parts load(const BpfInsn& insn) {
  switch (insn.code) {
    case kLd | kImm:
      return {"ld", hex(insn.k)};
    case kLd | kMem:
      return {"ld", decimal("M[", insn.k, "]")};
    case kLd | kW | kLen:
      return {"ld", "#pktlen"};
    case kLdx | kImm:
      return {"ldx", hex(insn.k)};
    case kLdx | kMem:
      return {"ldx", decimal("M[", insn.k, "]")};
    case kLdx | kW | kLen:
      return {"ldx", "#pktlen"};
    case kLdx | kB | kMsh:
      return {"ldxb", decimal("4*([", insn.k, "]&0xf)")};
  }
  if ((insn.code & 0xe0) == kAbs) return {load_name(insn.code), absolute(insn.k)};
  return {load_name(insn.code), decimal("[x + ", insn.k, "]")};
}

Parts arithmetic(const BpfInsn& insn) {
  static constexpr const char* kNames[] = {"add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"};
  const uint16_t operation = insn.code & 0xf0;
  const char* name = kNames[operation >> 4];
  if (operation == kNeg) return {name, ""};
  if ((insn.code & kX) != 0) return {name, "x"};
  const bool bits = operation == kAnd || operation == kOr || operation == kXor;
  return {name, bits ? hex(insn.k) : decimal("#", insn.k)};
}

Parts jump(const BpfInsn& insn, size_t index) {
  static constexpr const char* kNames[] = {"ja", "jeq", "jgt", "jge", "jset"};
  const char* name = kNames[(insn.code & 0xf0) >> 4];
  if (insn.code == (kJmp | kJa)) return {name, decimal("", static_cast<uint32_t>(index + 1) + insn.k)};
  return {name, (insn.code & kX) != 0 ? "x" : hex(insn.k)};
}

Parts parts(const BpfInsn& insn, size_t index) {
  if (!is_instruction(insn.code)) return {"unimp", format("0x%" PRIx32, insn.code)};
  switch (instruction_class(insn.code)) {
    case kLd:
    case kLdx:
      return load(insn);
    case kSt:
      return {"st", decimal("M[", insn.k, "]")};
    case kStx:
      return {"stx", decimal("M[", insn.k, "]")};
    case kAlu:
      return arithmetic(insn);
    case kJmp:
      return jump(insn, index);
    case kRet:
      return {"ret", (insn.code & kA) != 0 ? "" : decimal("#", insn.k)};
  }
  return {(insn.code & kTxa) != 0 ? "txa" : "tax", ""};
}

}  // namespace

std::string disassemble(const BpfInsn& insn, size_t index) {
  const Parts text = parts(insn, index);
  const bool branches = is_instruction(insn.code) && instruction_class(insn.code) == kJmp && insn.code != (kJmp | kJa);
  char line[128];
  if (branches) {
    std::snprintf(line, sizeof line, "(%03zu) %-8s %-16s jt %zu\tjf %zu", index, text.name.c_str(),
                  text.operand.c_str(), index + 1 + insn.jt, index + 1 + insn.jf);
  } else {
    std::snprintf(line, sizeof line, "(%03zu) %-8s %s", index, text.name.c_str(), text.operand.c_str());
  }
  return line;
}

std::string disassemble(const Program& program) {
  std::string text;
  for (size_t i = 0; i < program.size(); i++) text += disassemble(program[i], i) + "\n";
  return text;
}

}  // namespace ringtap
