// An assembler for eBPF: instructions as the kernel numbers them, and labels. Knows no kernel header.
#pragma once

#include <cstdint>
#include <vector>

#include "core/error.h"

namespace ringtap {

/// The layout of the kernel's struct bpf_insn: `regs` holds the destination and the source register.
struct EbpfInsn {
  uint8_t code = 0;
  uint8_t regs = 0;
  int16_t off = 0;
  int32_t imm = 0;
};
static_assert(sizeof(EbpfInsn) == 8);

using EbpfProgram = std::vector<EbpfInsn>;

namespace ebpf {

/// R0 is a call's result, R1–R5 are its arguments and lost by it, R6–R9 survive it, R10 is the top of the stack.
enum Reg : uint8_t { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };

enum class Alu : uint8_t {
  kAdd = 0x00,
  kSub = 0x10,
  kMul = 0x20,
  kDiv = 0x30,
  kOr = 0x40,
  kAnd = 0x50,
  kLsh = 0x60,
  kRsh = 0x70,
  kNeg = 0x80,
  kMod = 0x90,
  kXor = 0xa0,
  kMov = 0xb0,
};

/// Comparisons are unsigned.
enum class Jump : uint8_t {
  kEqual = 0x10,
  kGreater = 0x20,
  kGreaterEqual = 0x30,
  kAnyBit = 0x40,
  kNotEqual = 0x50,
  kLess = 0xa0,
  kLessEqual = 0xb0,
};

enum class Size : uint8_t { kWord = 0x00, kHalf = 0x08, kByte = 0x10, kDouble = 0x18 };

constexpr uint32_t bytes(Size size) {
  return size == Size::kByte ? 1 : size == Size::kHalf ? 2 : size == Size::kWord ? 4 : 8;
}

/// A register or a constant.
struct Operand {
  Operand(Reg source) : reg(source), is_reg(true) {}
  Operand(uint32_t constant) : imm(static_cast<int32_t>(constant)) {}
  Operand(int constant) : imm(constant) {}

  int32_t imm = 0;
  Reg reg = R0;
  bool is_reg = false;
};

struct Label {
  uint32_t id;
};

class Assembler {
 public:
  Label label();
  /// Binds the label to the next instruction.
  void bind(Label label);

  void alu32(Alu operation, Reg to, Operand by);
  void alu64(Alu operation, Reg to, Operand by);
  void mov32(Reg to, Operand from) { alu32(Alu::kMov, to, from); }
  void mov64(Reg to, Operand from) { alu64(Alu::kMov, to, from); }
  void load(Size size, Reg to, Reg base, int16_t off);
  void store(Size size, Reg base, int16_t off, Operand value);
  /// Adds a register to a word or double word in memory, of which other processors may be adding at the same time.
  void add_atomically(Size size, Reg base, int16_t off, Reg by);
  /// From network byte order to the host's; the upper bits become zero.
  void from_network(Size size, Reg reg);

  void jump(Label to);
  void jump32(Jump when, Reg left, Operand right, Label to);
  void jump64(Jump when, Reg left, Operand right, Label to);
  void call(uint32_t helper);
  /// A function of the kernel's, by its id in the kernel's type information.
  void call_kernel(uint32_t function);
  void load_map(Reg to, int map);
  /// The address of an array map's first value.
  void load_map_value(Reg to, int map);
  void exit();

  /// The program without the instructions that no path reaches (the kernel refuses those). An error if a jump is too
  /// far for its 16 bits.
  Result<EbpfProgram> finish() const;

 private:
  void add(unsigned code, Reg to, Reg from, int off, int32_t imm);
  void operation(unsigned code, Reg to, Operand by, int off);
  void branch(unsigned code, Reg left, Operand right, Label to);
  void wide(Reg to, Reg kind, int32_t imm);
  std::vector<bool> reachable() const;

  static constexpr uint32_t kNone = 0xffffffff;
  struct Step {
    EbpfInsn insn;
    uint32_t label = kNone;  // where a jump leads
  };
  std::vector<Step> steps_;
  std::vector<uint32_t> bound_;  // the step that each label is bound to
};

}  // namespace ebpf
}  // namespace ringtap
