#include "filter/ebpf.h"

#include <optional>

#include "filter/ebpf_flow.h"
#include "filter/opcodes.h"
#include "filter/text.h"
#include "filter/validate.h"

namespace ringtap::ebpf {
namespace {

using namespace bpf;

constexpr uint32_t kLoadBytesHelper = 189;
constexpr uint32_t kGetBuffLenHelper = 188;
constexpr int16_t kContextData = 0, kContextDataEnd = 4;  // in struct xdp_md

constexpr Reg kContext = R6;
constexpr Reg kAccumulator = R7;
constexpr Reg kIndex = R8;
constexpr Reg kData = R9;  // calls leave it, and what the verifier knows of it, as it is
// Used within one load.
constexpr Reg kOffset = R1;
constexpr Reg kPointer = R2;
constexpr Reg kDataEnd = R3;

// On the stack.
constexpr int16_t scratch(uint32_t word) { return static_cast<int16_t>(-4 * (static_cast<int>(word) + 1)); }
constexpr int16_t kBuffer = -72;  // bpf_xdp_load_bytes writes here
constexpr int16_t kPacketLength = -76;
static_assert(kFilterStack < kPacketLength);

// WHY: bpf_xdp_load_bytes refuses offsets above this; the verifier forgets what it knows of pointers further away.
constexpr uint32_t kLastOffset = 0xffff;
constexpr uint32_t kLastDirectOffset = kLastOffset - 4;
// A direct load's constant offset is a signed 16-bit number; what lies further away goes the way of variable offsets.
constexpr uint32_t kNearEnd = 0x7fff;

Size size_of(uint16_t code) {
  if ((code & 0xe0) == kMsh) return Size::kByte;
  switch (code & 0x18) {
    case kH:
      return Size::kHalf;
    case kB:
      return Size::kByte;
  }
  return Size::kWord;
}

bool loads_packet(uint16_t code) {
  const uint16_t kind = instruction_class(code);
  const uint16_t mode = code & 0xe0;
  return (kind == kLd && (mode == kAbs || mode == kInd)) || (kind == kLdx && mode == kMsh);
}

Alu alu_of(uint16_t code) { return static_cast<Alu>(code & 0xf0); }  // numbered alike
Jump jump_of(uint16_t code) { return static_cast<Jump>(code & 0xf0); }

std::optional<Jump> opposite(Jump jump) {
  switch (jump) {
    case Jump::kEqual:
      return Jump::kNotEqual;
    case Jump::kGreater:
      return Jump::kLessEqual;
    case Jump::kGreaterEqual:
      return Jump::kLess;
    default:
      return std::nullopt;
  }
}

/// One copy of the filter, in one access mode.
class Copy {
 public:
  Copy(Assembler& to, const Program& program, const Flow& flow, Label accept, Label reject)
      : as_(to), program_(program), flow_(flow), accept_(accept), reject_(reject) {
    for (size_t i = 0; i < program.size(); i++) starts_.push_back(as_.label());
  }

  /// `beyond`: the copy where a direct load that finds too few bytes is tried again, null to reject the packet.
  void emit(Access access, const Copy* beyond) {
    for (size_t i = 0; i < program_.size(); i++) {
      if (!flow_.reachable[i]) continue;
      as_.bind(starts_[i]);
      const BpfInsn& insn = program_[i];
      if (!loads_packet(insn.code)) {
        instruction(i);
      } else if (insn.k > kLastOffset) {
        as_.jump(reject_);
      } else if (access == Access::kDirect || (access == Access::kMixed && load_end(insn) != 0)) {
        direct(i, beyond != nullptr ? beyond->starts_[i] : reject_);
        finish_load(insn);
      } else {
        load_bytes(insn);
        finish_load(insn);
      }
    }
  }

 private:
  void direct(size_t i, Label missing) {
    const BpfInsn& insn = program_[i];
    const Size size = size_of(insn.code);
    const uint32_t end = load_end(insn);
    if (end != 0 && end <= kNearEnd) {
      if (end > flow_.checked[i]) {
        as_.mov64(kPointer, kData);
        as_.alu64(Alu::kAdd, kPointer, end);
        leave_beyond_end(kPointer, missing);
      }
      as_.load(size, target(insn), kData, static_cast<int16_t>(insn.k));
      return;
    }
    variable_offset(insn, kOffset, kLastDirectOffset, missing);
    as_.mov64(kPointer, kData);
    as_.alu64(Alu::kAdd, kPointer, kOffset);
    as_.mov64(kOffset, kPointer);
    as_.alu64(Alu::kAdd, kOffset, bytes(size));
    leave_beyond_end(kOffset, missing);
    as_.load(size, target(insn), kPointer, 0);
  }

  void leave_beyond_end(Reg pointer, Label missing) {
    as_.load(Size::kWord, kDataEnd, kContext, kContextDataEnd);
    as_.jump64(Jump::kGreater, pointer, kDataEnd, missing);
  }

  void load_bytes(const BpfInsn& insn) {
    const Size size = size_of(insn.code);
    variable_offset(insn, R2, kLastOffset, reject_);
    as_.mov64(R1, kContext);
    as_.mov64(R3, R10);
    as_.alu64(Alu::kAdd, R3, kBuffer);
    as_.mov32(R4, bytes(size));
    as_.call(kLoadBytesHelper);
    as_.jump64(Jump::kNotEqual, R0, 0, reject_);
    as_.load(size, target(insn), R10, kBuffer);
  }

  /// WHY: X has 32 bits and the sum 33; it is bounded before it is added to a pointer, or the verifier refuses that.
  void variable_offset(const BpfInsn& insn, Reg to, uint32_t last, Label missing) {
    if ((insn.code & 0xe0) != kInd) {
      if (insn.k > last) as_.jump(missing);
      as_.mov32(to, insn.k);
      return;
    }
    as_.mov32(to, kIndex);
    if (insn.k != 0) as_.alu64(Alu::kAdd, to, insn.k);
    as_.jump64(Jump::kGreater, to, last, missing);
  }

  static Reg target(const BpfInsn& insn) { return instruction_class(insn.code) == kLdx ? kIndex : kAccumulator; }

  void finish_load(const BpfInsn& insn) {
    as_.from_network(size_of(insn.code), target(insn));
    if (target(insn) == kIndex) {
      as_.alu32(Alu::kAnd, kIndex, 0xf);
      as_.alu32(Alu::kLsh, kIndex, 2);
    }
  }

  void instruction(size_t i) {
    const BpfInsn& insn = program_[i];
    switch (insn.code) {
      case kLd | kImm:
        return as_.mov32(kAccumulator, insn.k);
      case kLdx | kImm:
        return as_.mov32(kIndex, insn.k);
      case kLd | kW | kLen:
        return as_.load(Size::kWord, kAccumulator, R10, kPacketLength);
      case kLdx | kW | kLen:
        return as_.load(Size::kWord, kIndex, R10, kPacketLength);
      case kLd | kMem:
        return as_.load(Size::kWord, kAccumulator, R10, scratch(insn.k));
      case kLdx | kMem:
        return as_.load(Size::kWord, kIndex, R10, scratch(insn.k));
      case kSt:
        return as_.store(Size::kWord, R10, scratch(insn.k), kAccumulator);
      case kStx:
        return as_.store(Size::kWord, R10, scratch(insn.k), kIndex);
      case kMisc | kTax:
        return as_.mov32(kIndex, kAccumulator);
      case kMisc | kTxa:
        return as_.mov32(kAccumulator, kIndex);
      case kRet | kK:
        return as_.jump(insn.k != 0 ? accept_ : reject_);
      case kRet | kA:
        as_.jump32(Jump::kEqual, kAccumulator, 0, reject_);
        return as_.jump(accept_);
      case kJmp | kJa:
        return as_.jump(starts_[i + 1 + insn.k]);
    }
    if (instruction_class(insn.code) == kAlu) return arithmetic(insn);
    branch(i);
  }

  void arithmetic(const BpfInsn& insn) {
    const bool by_index = (insn.code & kX) != 0;
    const Alu operation = alu_of(insn.code);
    if (by_index) {
      switch (operation) {
        case Alu::kDiv:
        case Alu::kMod:
          as_.jump32(Jump::kEqual, kIndex, 0, reject_);
          break;
        case Alu::kLsh:
        case Alu::kRsh: {
          // WHY: eBPF shifts modulo 32, libpcap shifts everything out. Zero stays zero, however far it is shifted.
          const Label within = as_.label();
          as_.jump32(Jump::kLess, kIndex, 32, within);
          as_.mov32(kAccumulator, 0);
          as_.bind(within);
          break;
        }
        default:
          break;
      }
    }
    as_.alu32(operation, kAccumulator, by_index ? Operand(kIndex) : Operand(operation == Alu::kNeg ? 0 : insn.k));
  }

  void branch(size_t i) {
    const BpfInsn& insn = program_[i];
    const Operand right = (insn.code & kX) != 0 ? Operand(kIndex) : Operand(insn.k);
    const Jump jump = jump_of(insn.code);
    const Label jt = starts_[i + 1 + insn.jt];
    const Label jf = starts_[i + 1 + insn.jf];
    const auto inverse = opposite(jump);
    if (insn.jt == 0 && inverse) return as_.jump32(*inverse, kAccumulator, right, jf);
    as_.jump32(jump, kAccumulator, right, jt);
    if (insn.jf != 0) as_.jump(jf);
  }

  Assembler& as_;
  const Program& program_;
  const Flow& flow_;
  Label accept_;
  Label reject_;
  std::vector<Label> starts_;  // of each classic instruction
};

std::string obstacle(const Program& program, const Flow& flow) {
  for (size_t i = 0; i < program.size(); i++) {
    if (flow.reachable[i] && loads_packet(program[i].code) && program[i].k >= kFirstKernelOffset) {
      return "it reads metadata of the kernel's that XDP does not have: " + disassemble(program[i], i);
    }
  }
  return "";
}

void append_length(Assembler& to, Length source) {
  if (source == Length::kHelper) {
    to.mov64(R1, kContext);
    to.call(kGetBuffLenHelper);
  } else {
    to.load(Size::kWord, R0, kContext, kContextDataEnd);
    to.load(Size::kWord, R1, kContext, kContextData);
    to.alu64(Alu::kSub, R0, R1);
  }
  to.store(Size::kWord, R10, kPacketLength, R0);
}

Error not_translatable(std::string why) {
  return Error{.code = Code::kUnsupported, .message = "the filter cannot run in XDP: " + std::move(why)};
}

}  // namespace

Result<uint32_t> append_filter(Assembler& to, const Program& program, const FilterOptions& options, Label accept,
                               Label reject) {
  if (has_loop(program)) return not_translatable("it jumps backwards (protochain)");
  const Flow flow = analyse(program);
  if (std::string why = obstacle(program, flow); !why.empty()) return not_translatable(std::move(why));

  const bool pointers = options.access != Access::kLoadBytes;
  if (flow.uses_length) append_length(to, options.length);
  if (pointers) to.load(Size::kWord, kData, kContext, kContextData);
  if (flow.reads_a) to.mov32(kAccumulator, 0);
  if (flow.reads_x) to.mov32(kIndex, 0);
  for (uint32_t word = 0; word < kScratchWords; word++) {
    if ((flow.reads_scratch >> word & 1) != 0) to.store(Size::kWord, R10, scratch(word), 0);
  }

  // WHY: both copies keep their state in the same places. A packet that reaches beyond its first fragment goes on in
  // the second copy, so that the first may rely on every check it has made.
  Copy first(to, program, flow, accept, reject);
  if (pointers && options.frags) {
    Copy second(to, program, flow, accept, reject);
    first.emit(options.access, &second);
    second.emit(Access::kLoadBytes, nullptr);
  } else {
    first.emit(options.access, nullptr);
  }
  return flow.keep;
}

}  // namespace ringtap::ebpf
