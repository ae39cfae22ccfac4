#include "filter/prepend.h"

#include <algorithm>

#include "filter/opcodes.h"
#include "filter/validate.h"

namespace ringtap {
namespace {

using namespace bpf;

constexpr uint32_t kOutgoing = 4;  // PACKET_OUTGOING
constexpr uint32_t kArphrdCan = 280;

Program joined(std::initializer_list<BpfInsn> prefix, const Program& program) {
  Program result(prefix);
  result.insert(result.end(), program.begin(), program.end());
  return result;
}

BpfInsn load(uint32_t metadata) { return {.code = kLd | kW | kAbs, .k = metadata}; }
BpfInsn jump_if(uint32_t value, uint8_t equal, uint8_t otherwise) {
  return {.code = kJmp | kJeq | kK, .jt = equal, .jf = otherwise, .k = value};
}
BpfInsn accept(uint32_t length) { return {.code = kRet | kK, .k = length}; }

bool reads_metadata(const BpfInsn& insn) {
  switch (insn.code) {
    case kLd | kW | kAbs:
    case kLd | kH | kAbs:
    case kLd | kB | kAbs:
    case kLd | kW | kInd:
    case kLd | kH | kInd:
    case kLd | kB | kInd:
    case kLdx | kB | kMsh:
      return insn.k >= kFirstKernelOffset;
  }
  return false;
}

}  // namespace

Program with_vlan_prefix(const Program& program, uint32_t accept_len) {
  return joined({load(kVlanTagPresent), jump_if(0, 1, 0), accept(accept_len)}, program);
}

Program with_direction_prefix(const Program& program, Direction direction, uint32_t loopback_index) {
  switch (direction) {
    case Direction::kIn:
      return joined({load(kPacketType), jump_if(kOutgoing, 0, 1), accept(0)}, program);
    case Direction::kOut:
      return joined({load(kPacketType), jump_if(kOutgoing, 0, 2),           //
                     load(kInterfaceIndex), jump_if(loopback_index, 0, 1),  //
                     accept(0)},
                    program);
    case Direction::kBoth:
      break;
  }
  return joined({load(kPacketType), jump_if(kOutgoing, 0, 5),           //
                 load(kInterfaceIndex), jump_if(loopback_index, 2, 0),  //
                 load(kHardwareType), jump_if(kArphrdCan, 0, 1),        //
                 accept(0)},
                program);
}

Program cap_snaplen(Program program, uint32_t snaplen) {
  for (BpfInsn& insn : program) {
    if (insn.code == (kRet | kK)) insn.k = std::min(insn.k, snaplen);
  }
  return program;
}

std::string kernel_obstacle(const Program& program) {
  if (has_loop(program)) return "the program loops (protochain), which the kernel refuses";
  for (const BpfInsn& insn : program) {
    if (reads_metadata(insn)) return "the program reads kernel metadata, which is not part of a packet's bytes";
    if (insn.code == (kAlu | kLsh | kX) || insn.code == (kAlu | kRsh | kX)) {
      return "the program shifts by a variable, which the kernel takes modulo 32";
    }
  }
  return "";
}

}  // namespace ringtap
