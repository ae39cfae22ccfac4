#include "filter/metadata.h"

#include <vector>

#include "core/tunnel.h"
#include "filter/opcodes.h"

namespace ringtap {
namespace {

using namespace bpf;

bool reads_metadata(const BpfInsn& insn) {
  switch (insn.code) {
    case kLd | kW | kAbs:
    case kLd | kH | kAbs:
    case kLd | kB | kAbs:
    case kLdx | kB | kMsh:
      return insn.k >= kFirstKernelOffset;
  }
  return false;
}

/// The accumulator before an instruction, over every way there.
struct Known {
  bool reached = false;
  std::optional<uint32_t> value;

  void from(std::optional<uint32_t> other) {
    if (!reached) value = other;
    if (value != other) value.reset();
    reached = true;
  }
};

bool compares(uint16_t code, uint32_t a, uint32_t k) {
  switch (code) {
    case kJmp | kJeq | kK:
      return a == k;
    case kJmp | kJgt | kK:
      return a > k;
    case kJmp | kJge | kK:
      return a >= k;
    default:
      return (a & k) != 0;
  }
}

}  // namespace

bool is_tunnel_word(const BpfInsn& insn) noexcept {
  return insn.code == (kLd | kW | kAbs) && insn.k >= kTunnelRow && insn.k < kTunnelRow + sizeof(TunnelRow) &&
         insn.k % sizeof(uint32_t) == 0;
}

MetadataReads metadata_reads(const Program& program) {
  MetadataReads reads;
  for (size_t i = 0; i < program.size(); i++) {
    const BpfInsn& insn = program[i];
    if (!reads_metadata(insn)) continue;
    if (instruction_class(insn.code) == kLd && insn.k == kPacketType) {
      reads.packet_type = true;
    } else if (instruction_class(insn.code) == kLd && insn.k == kInterfaceIndex) {
      reads.interface = true;
    } else if (is_tunnel_word(insn)) {
      reads.tunnel = true;
    } else if (!reads.other) {
      reads.other = i;
    }
  }
  return reads;
}

Program without_tag_metadata(Program program) {
  for (BpfInsn& insn : program) {
    if (!reads_metadata(insn) || instruction_class(insn.code) != kLd) continue;
    if (insn.k == kVlanTag || insn.k == kVlanTagPresent || insn.k == kVlanProtocol) insn = {.code = kLd | kImm};
  }
  return program;
}

bool may_accept(const Program& program, uint32_t packet_type) {
  std::vector<Known> before(program.size());
  before[0].from(0);
  for (size_t i = 0; i < program.size(); i++) {
    if (!before[i].reached) continue;
    const BpfInsn& insn = program[i];
    const auto kind = instruction_class(insn.code);
    std::optional<uint32_t> a = before[i].value;
    if (kind == kRet) {
      const std::optional<uint32_t> kept = insn.code == (kRet | kA) ? a : insn.k;
      if (kept != 0u) return true;
    } else if (kind == kJmp) {
      if (insn.code == (kJmp | kJa)) {
        before[i + 1 + insn.k].from(a);
        continue;
      }
      const bool decided = a && (insn.code & kX) == 0;
      const bool taken = decided && compares(insn.code, *a, insn.k);
      if (!decided || taken) before[i + 1 + insn.jt].from(a);
      if (!decided || !taken) before[i + 1 + insn.jf].from(a);
    } else {
      if (reads_metadata(insn) && kind == kLd && insn.k == kPacketType) {
        a = packet_type;
      } else if (insn.code == (kLd | kImm)) {
        a = insn.k;
      } else if (kind == kLd || kind == kAlu || insn.code == (kMisc | kTxa)) {
        a.reset();
      }
      before[i + 1].from(a);
    }
  }
  return false;
}

}  // namespace ringtap
