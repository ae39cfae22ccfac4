// Random classic programs without loops, of every instruction there is.
#pragma once

#include <algorithm>
#include <random>

#include "core/program.h"
#include "filter/opcodes.h"

namespace ringtap::test {

class RandomPrograms {
 public:
  /// Loads reach around `reach` bytes into the packet.
  RandomPrograms(uint64_t seed, uint32_t reach) : random_(seed), reach_(reach) {}

  /// `scratch_set`: the program first writes all scratch memory, which libpcap leaves as it finds it.
  Program next(bool scratch_set) {
    using namespace bpf;
    Program program;
    for (uint32_t i = 0; scratch_set && i < kScratchWords; i++) program.push_back({.code = kSt, .k = i});
    const uint32_t length = pick(20) == 0 ? 100 + pick(200) : 1 + pick(40);
    for (uint32_t left = length; left > 0; left--) program.push_back(instruction(left));
    program.push_back(pick(3) == 0 ? BpfInsn{.code = kRet | kA} : BpfInsn{.code = kRet | kK, .k = pick(3) * 1000});
    return program;
  }

 private:
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  uint32_t offset() {
    static constexpr uint32_t kOdd[] = {0x7ffb, 0x7ffd,  0x7fff,     0x8000,     0xfffb,    0xfffd,
                                        0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe};
    if (pick(60) == 0) return kOdd[pick(11)];
    return pick(4) == 0 ? pick(reach_) : pick(32);
  }
  uint32_t constant() { return pick(6) == 0 ? static_cast<uint32_t>(random_()) : pick(40); }
  uint8_t distance(uint32_t left) {
    return static_cast<uint8_t>(pick(std::min(left, pick(8) == 0 ? uint32_t{256} : uint32_t{12})));
  }

  BpfInsn load() {
    using namespace bpf;
    static constexpr uint16_t kLoads[] = {kLd | kW | kAbs, kLd | kH | kAbs, kLd | kB | kAbs, kLd | kW | kInd,
                                          kLd | kH | kInd, kLd | kB | kInd, kLdx | kB | kMsh};
    return {.code = kLoads[pick(7)], .k = offset()};
  }

  BpfInsn arithmetic() {
    using namespace bpf;
    static constexpr uint16_t kOperations[] = {kAdd, kSub, kMul, kDiv, kMod, kAnd, kOr, kXor, kLsh, kRsh, kNeg};
    const uint16_t operation = kOperations[pick(11)];
    const uint16_t source = operation == kNeg || pick(2) == 0 ? kK : kX;
    uint32_t k = constant();
    if (operation == kLsh || operation == kRsh) k %= 32;
    if (operation == kDiv || operation == kMod) k |= 1;
    return {.code = static_cast<uint16_t>(kAlu | operation | source), .k = k};
  }

  BpfInsn jump(uint32_t left) {
    using namespace bpf;
    static constexpr uint16_t kJumps[] = {kJeq, kJgt, kJge, kJset};
    if (pick(12) == 0) return {.code = kJmp | kJa, .k = distance(left)};
    return {.code = static_cast<uint16_t>(kJmp | kJumps[pick(4)] | (pick(2) == 0 ? kK : kX)),
            .jt = distance(left),
            .jf = distance(left),
            .k = constant()};
  }

  /// `left`: how many instructions a jump may skip at most, plus one.
  BpfInsn instruction(uint32_t left) {
    using namespace bpf;
    static constexpr uint16_t kSimple[] = {kLd | kImm,       kLdx | kImm,  kLd | kW | kLen,
                                           kLdx | kW | kLen, kMisc | kTax, kMisc | kTxa};
    static constexpr uint16_t kMemory[] = {kLd | kMem, kLdx | kMem, kSt, kStx};
    switch (pick(10)) {
      case 0:
      case 1:
        return load();
      case 2:
        return {.code = kMemory[pick(4)], .k = pick(kScratchWords)};
      case 3:
      case 4:
        return {.code = kSimple[pick(6)], .k = constant()};
      case 5:
        // Small numbers, so that variable offsets often lie inside the packet.
        return {.code = kAlu | kAnd | kK, .k = 31};
      case 6:
      case 7:
        return arithmetic();
    }
    return jump(left);
  }

  std::mt19937_64 random_;
  uint32_t reach_;
};

}  // namespace ringtap::test
