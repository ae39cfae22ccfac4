#include "filter/prepend.h"

#include <algorithm>

#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/validate.h"

namespace ringtap {
namespace {

using namespace bpf;

constexpr uint32_t kOutgoing = 4;  // PACKET_OUTGOING
constexpr uint32_t kArphrdCan = 280;
constexpr size_t kMostPrepended = 32;  // instructions: direction, types, VLAN

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

bool is_indexed_load(uint16_t code) {
  return code == (kLd | kW | kInd) || code == (kLd | kH | kInd) || code == (kLd | kB | kInd);
}

}  // namespace

Program with_vlan_prefix(const Program& program, uint32_t accept_len, const std::vector<uint32_t>& hopeless) {
  const Program tagged = without_types({accept(accept_len)}, hopeless);
  Program result{load(kVlanTagPresent), jump_if(0, static_cast<uint8_t>(tagged.size()), 0)};
  result.insert(result.end(), tagged.begin(), tagged.end());
  result.insert(result.end(), program.begin(), program.end());
  return result;
}

Program without_types(const Program& program, const std::vector<uint32_t>& types) {
  if (types.empty()) return program;
  Program result{load(kPacketType)};
  for (const uint32_t type : types) {
    result.push_back(jump_if(type, 0, 1));
    result.push_back(accept(0));
  }
  result.insert(result.end(), program.begin(), program.end());
  return result;
}

Direction requested_direction(const Options& options) {
  const std::string text = options.text("direction", "both");
  return text == "in" ? Direction::kIn : text == "out" ? Direction::kOut : Direction::kBoth;
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
  if (program.size() > kMaxInstructions - kMostPrepended) {
    return "the program has " + std::to_string(program.size()) + " instructions, and the kernel takes " +
           std::to_string(kMaxInstructions);
  }
  if (metadata_reads(program).other) {
    return "the program reads kernel metadata that nobody can give it for frames with a VLAN tag";
  }
  for (const BpfInsn& insn : program) {
    if (is_indexed_load(insn.code) && insn.k >= kFirstKernelOffset) {
      return "the program reads before the packet, where the kernel counts otherwise";
    }
    if (insn.code == (kAlu | kLsh | kX) || insn.code == (kAlu | kRsh | kX)) {
      return "the program shifts by a variable, which the kernel takes modulo 32";
    }
  }
  return "";
}

}  // namespace ringtap
