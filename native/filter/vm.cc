#include "filter/vm.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "filter/metadata.h"
#include "filter/opcodes.h"
#include "filter/validate.h"

namespace ringtap {
namespace {

using namespace bpf;

// The codes of validated instructions are below 0x100; these follow them.
enum : uint16_t {
  kReject = 0x100,  // a constant offset that no packet reaches
  kLoop,            // a jump backwards
  kLoadType,        // metadata
  kLoadInterface,
  kLoadTunnel,
  // A load and the comparison behind it in one step: most of what pcap filters do.
  kWordEquals,
  kHalfEquals,
  kByteEquals,
  kHalfHasBits,
  kIndexedHalfEquals,
};

// WHY: a loop of libpcap's (protochain) takes some 40 steps for each header it follows; this is enough for every header
// that fits into 64 KiB and little enough (a millisecond) for a program that never ends.
constexpr int64_t kStepsPerPacket = int64_t{1} << 20;

uint32_t fused(uint16_t load, uint16_t jump) {
  if (jump == (kJmp | kJeq | kK)) {
    switch (load) {
      case kLd | kW | kAbs:
        return kWordEquals;
      case kLd | kH | kAbs:
        return kHalfEquals;
      case kLd | kB | kAbs:
        return kByteEquals;
      case kLd | kH | kInd:
        return kIndexedHalfEquals;
    }
  }
  if (jump == (kJmp | kJset | kK) && load == (kLd | kH | kAbs)) return kHalfHasBits;
  return load;
}

bool loads_constant_offset(uint16_t code) {
  return code == (kLd | kW | kAbs) || code == (kLd | kH | kAbs) || code == (kLd | kB | kAbs) ||
         code == (kLdx | kB | kMsh);
}

// SAFETY: callers have compared offset and size with caplen.
uint32_t byte_at(const std::byte* at) { return std::to_integer<uint32_t>(*at); }
uint32_t half_at(const std::byte* at) { return byte_at(at) << 8 | byte_at(at + 1); }
uint32_t word_at(const std::byte* at) { return half_at(at) << 16 | half_at(at + 2); }

uint32_t word_of(const TunnelRow* row, uint32_t word) {
  if (row == nullptr) return 0;
  uint32_t value = 0;
  // SAFETY: the constructor has seen to it that the row has so many words.
  std::memcpy(&value, reinterpret_cast<const std::byte*>(row) + word * sizeof value, sizeof value);
  return value;
}

/// Where a comparison leads. WHY likely: so it stays a branch, which the processor guesses. clang would choose between
/// the two with a conditional move, which has to wait for the packet's bytes: the whole machine took twice the time.
template <typename Op>
inline const Op* following(const Op* ops, const Op* op, bool holds) {
  if (holds) [[likely]]
    return ops + op->jt;
  return ops + op->jf;
}

}  // namespace

FilterVm::FilterVm(const Program& program, Metadata metadata) : ops_(program.size()) {
  assert(validate(program, kMostInstructions));
  for (size_t i = 0; i < program.size(); i++) {
    const BpfInsn& insn = program[i];
    Op& op = ops_[i];
    op = {.operation = insn.code,
          .jt = static_cast<uint16_t>(i + 1 + insn.jt),
          .jf = static_cast<uint16_t>(i + 1 + insn.jf),
          .k = insn.k};
    if (insn.code == (kJmp | kJa)) {
      op.jt = static_cast<uint16_t>(i + 1 + insn.k);
      if (op.jt <= i) op.operation = kLoop;
    } else if (loads_constant_offset(insn.code) && insn.k >= kFirstKernelOffset) {
      // From here on `k` plus the size of a load does not overflow.
      op.operation = kReject;
      if (metadata == Metadata::kIsRead && instruction_class(insn.code) == kLd) {
        if (insn.k == kPacketType) op.operation = kLoadType;
        if (insn.k == kInterfaceIndex) op.operation = kLoadInterface;
        if (is_tunnel_word(insn)) {
          op.operation = kLoadTunnel;
          op.k = (insn.k - kTunnelRow) / sizeof(uint32_t);
        }
      }
    }
    is_special_ |= op.operation == kLoop || op.operation == kLoadType || op.operation == kLoadInterface ||
                   op.operation == kLoadTunnel;
    uses_scratch_ |= insn.code == (kLd | kMem) || insn.code == (kLdx | kMem);
  }
  // The comparison stays where it is as well: another jump may lead to it.
  for (size_t i = 0; i + 1 < ops_.size(); i++) {
    const Op& jump = ops_[i + 1];
    const uint32_t operation = fused(ops_[i].operation, jump.operation);
    if (operation == ops_[i].operation) continue;
    ops_[i] = {
        .operation = static_cast<uint16_t>(operation), .jt = jump.jt, .jf = jump.jf, .k = ops_[i].k, .value = jump.k};
  }
}

template uint32_t FilterVm::interpret<false>(const std::byte*, uint32_t, uint32_t, FilterBudget*,
                                             const PacketMetadata*) const noexcept;
template uint32_t FilterVm::interpret<true>(const std::byte*, uint32_t, uint32_t, FilterBudget*,
                                            const PacketMetadata*) const noexcept;

template <bool kSpecial>
uint32_t FilterVm::interpret(const std::byte* data, uint32_t wirelen, uint32_t caplen, FilterBudget* budget,
                             const PacketMetadata* metadata) const noexcept {
  const Op* const ops = ops_.data();
  const Op* op = ops;
  uint32_t a = 0;
  uint32_t x = 0;
  uint32_t scratch[kScratchWords];
  if (uses_scratch_) std::memset(scratch, 0, sizeof scratch);
  [[maybe_unused]] int64_t looped = 0;

  // SAFETY (every load): the last byte read lies below caplen; sums are formed where they cannot overflow.
  for (;;) {
    switch (op->operation) {
      case kHalfEquals:
        if (caplen < op->k + 2) return 0;
        a = half_at(data + op->k);
        op = following(ops, op, a == op->value);
        continue;
      case kByteEquals:
        if (caplen <= op->k) return 0;
        a = byte_at(data + op->k);
        op = following(ops, op, a == op->value);
        continue;
      case kWordEquals:
        if (caplen < op->k + 4) return 0;
        a = word_at(data + op->k);
        op = following(ops, op, a == op->value);
        continue;
      case kHalfHasBits:
        if (caplen < op->k + 2) return 0;
        a = half_at(data + op->k);
        op = following(ops, op, (a & op->value) != 0);
        continue;
      case kIndexedHalfEquals: {
        const uint64_t at = uint64_t{x} + op->k;
        if (caplen < at + 2) return 0;
        a = half_at(data + at);
        op = following(ops, op, a == op->value);
        continue;
      }

      case kRet | kK:
        return op->k;
      case kRet | kA:
        return a;
      case kReject:
        return 0;

      case kLd | kW | kAbs:
        if (caplen < op->k + 4) return 0;
        a = word_at(data + op->k);
        break;
      case kLd | kH | kAbs:
        if (caplen < op->k + 2) return 0;
        a = half_at(data + op->k);
        break;
      case kLd | kB | kAbs:
        if (caplen <= op->k) return 0;
        a = byte_at(data + op->k);
        break;
      case kLd | kW | kInd: {
        const uint64_t at = uint64_t{x} + op->k;
        if (caplen < at + 4) return 0;
        a = word_at(data + at);
        break;
      }
      case kLd | kH | kInd: {
        const uint64_t at = uint64_t{x} + op->k;
        if (caplen < at + 2) return 0;
        a = half_at(data + at);
        break;
      }
      case kLd | kB | kInd: {
        const uint64_t at = uint64_t{x} + op->k;
        if (caplen <= at) return 0;
        a = byte_at(data + at);
        break;
      }
      case kLdx | kB | kMsh:
        if (caplen <= op->k) return 0;
        x = (byte_at(data + op->k) & 0xf) << 2;
        break;
      case kLoadType:
        if constexpr (kSpecial) a = metadata->type;
        break;
      case kLoadInterface:
        if constexpr (kSpecial) a = metadata->interface;
        break;
      case kLoadTunnel:
        if constexpr (kSpecial) a = word_of(metadata->tunnel, op->k);
        break;
      case kLd | kW | kLen:
        a = wirelen;
        break;
      case kLdx | kW | kLen:
        x = wirelen;
        break;
      case kLd | kImm:
        a = op->k;
        break;
      case kLdx | kImm:
        x = op->k;
        break;
      case kLd | kMem:
        a = scratch[op->k];
        break;
      case kLdx | kMem:
        x = scratch[op->k];
        break;
      case kSt:
        scratch[op->k] = a;
        break;
      case kStx:
        scratch[op->k] = x;
        break;
      case kMisc | kTax:
        x = a;
        break;
      case kMisc | kTxa:
        a = x;
        break;

      case kJmp | kJa:
        op = ops + op->jt;
        continue;
      case kLoop: {
        if constexpr (!kSpecial) return 0;
        const int64_t steps = op - ops - op->jt + 1;
        looped += steps;
        if constexpr (kSpecial) budget->spend(steps);
        if (looped > kStepsPerPacket) return 0;
        op = ops + op->jt;
        continue;
      }
      case kJmp | kJeq | kK:
        op = following(ops, op, a == op->k);
        continue;
      case kJmp | kJgt | kK:
        op = following(ops, op, a > op->k);
        continue;
      case kJmp | kJge | kK:
        op = following(ops, op, a >= op->k);
        continue;
      case kJmp | kJset | kK:
        op = following(ops, op, (a & op->k) != 0);
        continue;
      case kJmp | kJeq | kX:
        op = following(ops, op, a == x);
        continue;
      case kJmp | kJgt | kX:
        op = following(ops, op, a > x);
        continue;
      case kJmp | kJge | kX:
        op = following(ops, op, a >= x);
        continue;
      case kJmp | kJset | kX:
        op = following(ops, op, (a & x) != 0);
        continue;

      case kAlu | kAdd | kK:
        a += op->k;
        break;
      case kAlu | kSub | kK:
        a -= op->k;
        break;
      case kAlu | kMul | kK:
        a *= op->k;
        break;
      case kAlu | kDiv | kK:
        a /= op->k;
        break;
      case kAlu | kMod | kK:
        a %= op->k;
        break;
      case kAlu | kAnd | kK:
        a &= op->k;
        break;
      case kAlu | kOr | kK:
        a |= op->k;
        break;
      case kAlu | kXor | kK:
        a ^= op->k;
        break;
      case kAlu | kLsh | kK:
        a <<= op->k;
        break;
      case kAlu | kRsh | kK:
        a >>= op->k;
        break;
      case kAlu | kNeg:
        a = 0u - a;
        break;
      case kAlu | kAdd | kX:
        a += x;
        break;
      case kAlu | kSub | kX:
        a -= x;
        break;
      case kAlu | kMul | kX:
        a *= x;
        break;
      case kAlu | kDiv | kX:
        if (x == 0) return 0;
        a /= x;
        break;
      case kAlu | kMod | kX:
        if (x == 0) return 0;
        a %= x;
        break;
      case kAlu | kAnd | kX:
        a &= x;
        break;
      case kAlu | kOr | kX:
        a |= x;
        break;
      case kAlu | kXor | kX:
        a ^= x;
        break;
      case kAlu | kLsh | kX:
        a = x < 32 ? a << x : 0;
        break;
      case kAlu | kRsh | kX:
        a = x < 32 ? a >> x : 0;
        break;

      default:  // not in a validated program
        return 0;
    }
    op++;
  }
}

}  // namespace ringtap
