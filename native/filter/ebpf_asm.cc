#include "filter/ebpf_asm.h"

#include <bit>
#include <cassert>
#include <limits>
#include <string>

namespace ringtap::ebpf {
namespace {

// class
constexpr unsigned kLd = 0x00, kLdx = 0x01, kSt = 0x02, kStx = 0x03, kAlu32 = 0x04, kJmp = 0x05, kJmp32 = 0x06,
                   kAlu64 = 0x07;
constexpr unsigned kImm = 0x00, kMem = 0x60, kAtomic = 0xc0;  // mode of a load or store
constexpr unsigned kX = 0x08;                                 // the operand is a register
constexpr unsigned kJa = 0x00, kCall = 0x80, kExit = 0x90;
constexpr unsigned kToBigEndian = 0xd8;
constexpr unsigned kDouble = 0x18;
// What a wide load's constant means, in the place of its source register.
constexpr Reg kMapFd = R1, kMapValue = R2;
// The same of a call's.
constexpr Reg kKernelFunction = R2;

constexpr unsigned code_of(auto value) { return static_cast<unsigned>(value); }

// WHY: the kernel declares the two registers as bit fields, whose order follows the byte order.
constexpr uint8_t pack(Reg to, Reg from) {
  const unsigned low = std::endian::native == std::endian::little ? to : from;
  const unsigned high = std::endian::native == std::endian::little ? from : to;
  return static_cast<uint8_t>(high << 4 | low);
}

constexpr bool is_jump(uint8_t code) { return (code & 7u) == kJmp || (code & 7u) == kJmp32; }
constexpr bool is_wide(uint8_t code) { return code == (kLd | kImm | kDouble); }

}  // namespace

Label Assembler::label() {
  bound_.push_back(kNone);
  return {static_cast<uint32_t>(bound_.size() - 1)};
}

void Assembler::bind(Label label) {
  assert(bound_[label.id] == kNone);
  bound_[label.id] = static_cast<uint32_t>(steps_.size());
}

void Assembler::add(unsigned code, Reg to, Reg from, int off, int32_t imm) {
  steps_.push_back(
      {.insn = {
           .code = static_cast<uint8_t>(code), .regs = pack(to, from), .off = static_cast<int16_t>(off), .imm = imm}});
}

void Assembler::operation(unsigned code, Reg to, Operand by, int off) {
  if (by.is_reg) {
    add(code | kX, to, by.reg, off, 0);
  } else {
    add(code, to, R0, off, by.imm);
  }
}

void Assembler::alu32(Alu op, Reg to, Operand by) { operation(kAlu32 | code_of(op), to, by, 0); }
void Assembler::alu64(Alu op, Reg to, Operand by) { operation(kAlu64 | code_of(op), to, by, 0); }

void Assembler::load(Size size, Reg to, Reg base, int16_t off) { add(kLdx | kMem | code_of(size), to, base, off, 0); }

void Assembler::store(Size size, Reg base, int16_t off, Operand value) {
  add((value.is_reg ? kStx : kSt) | kMem | code_of(size), base, value.reg, off, value.imm);
}

void Assembler::add_atomically(Size size, Reg base, int16_t off, Reg by) {
  add(kStx | kAtomic | code_of(size), base, by, off, 0);
}

void Assembler::from_network(Size size, Reg reg) {
  if (size != Size::kByte) add(kAlu32 | kToBigEndian, reg, R0, 0, static_cast<int32_t>(bytes(size) * 8));
}

void Assembler::branch(unsigned code, Reg left, Operand right, Label to) {
  operation(code, left, right, 0);
  steps_.back().label = to.id;
}

void Assembler::jump(Label to) { branch(kJmp | kJa, R0, 0, to); }
void Assembler::jump32(Jump when, Reg left, Operand right, Label to) {
  branch(kJmp32 | code_of(when), left, right, to);
}
void Assembler::jump64(Jump when, Reg left, Operand right, Label to) { branch(kJmp | code_of(when), left, right, to); }

void Assembler::call(uint32_t helper) { add(kJmp | kCall, R0, R0, 0, static_cast<int32_t>(helper)); }
void Assembler::call_kernel(uint32_t function) {
  add(kJmp | kCall, R0, kKernelFunction, 0, static_cast<int32_t>(function));
}
void Assembler::exit() { add(kJmp | kExit, R0, R0, 0, 0); }

void Assembler::wide(Reg to, Reg kind, int32_t imm) {
  add(kLd | kImm | kDouble, to, kind, 0, imm);
  add(0, R0, R0, 0, 0);
}
void Assembler::load_map(Reg to, int map) { wide(to, kMapFd, map); }
void Assembler::load_map_value(Reg to, int map) { wide(to, kMapValue, map); }

std::vector<bool> Assembler::reachable() const {
  std::vector<bool> seen(steps_.size());
  std::vector<uint32_t> todo{0};
  while (!todo.empty()) {
    uint32_t at = todo.back();
    todo.pop_back();
    // The path on from here, leaving the other sides of its branches for later.
    while (at < steps_.size() && !seen[at]) {
      seen[at] = true;
      const Step& step = steps_[at];
      if (step.insn.code == (kJmp | kExit)) break;
      if (is_wide(step.insn.code)) seen[at + 1] = true;
      const uint32_t next = at + (is_wide(step.insn.code) ? 2 : 1);
      const bool jumps = is_jump(step.insn.code) && step.label != kNone;
      if (jumps && step.insn.code != (kJmp | kJa)) todo.push_back(next);
      at = jumps ? bound_[step.label] : next;
    }
  }
  return seen;
}

Result<EbpfProgram> Assembler::finish() const {
  const std::vector<bool> kept = reachable();
  std::vector<int64_t> place(steps_.size() + 1);  // of each step in the program
  for (size_t i = 0; i < steps_.size(); i++) place[i + 1] = place[i] + (kept[i] ? 1 : 0);

  EbpfProgram program;
  program.reserve(static_cast<size_t>(place.back()));
  for (size_t i = 0; i < steps_.size(); i++) {
    if (!kept[i]) continue;
    EbpfInsn insn = steps_[i].insn;
    if (steps_[i].label != kNone) {
      const int64_t distance = place[bound_[steps_[i].label]] - place[i] - 1;
      if (distance > std::numeric_limits<int16_t>::max() || distance < std::numeric_limits<int16_t>::min()) {
        return Error{
            .code = Code::kUnsupported,
            .message = "the eBPF program is too long: a jump over " + std::to_string(distance) + " instructions"};
      }
      insn.off = static_cast<int16_t>(distance);
    }
    program.push_back(insn);
  }
  return program;
}

}  // namespace ringtap::ebpf
