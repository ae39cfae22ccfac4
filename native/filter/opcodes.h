// The classic-BPF instruction set, as the kernel and libpcap number it.
#pragma once

#include <cstdint>

namespace ringtap::bpf {

// class
inline constexpr uint16_t kLd = 0x00, kLdx = 0x01, kSt = 0x02, kStx = 0x03, kAlu = 0x04, kJmp = 0x05, kRet = 0x06,
                          kMisc = 0x07;
// load size and mode
inline constexpr uint16_t kW = 0x00, kH = 0x08, kB = 0x10;
inline constexpr uint16_t kImm = 0x00, kAbs = 0x20, kInd = 0x40, kMem = 0x60, kLen = 0x80, kMsh = 0xa0;
// arithmetic
inline constexpr uint16_t kAdd = 0x00, kSub = 0x10, kMul = 0x20, kDiv = 0x30, kOr = 0x40, kAnd = 0x50, kLsh = 0x60,
                          kRsh = 0x70, kNeg = 0x80, kMod = 0x90, kXor = 0xa0;
// jumps
inline constexpr uint16_t kJa = 0x00, kJeq = 0x10, kJgt = 0x20, kJge = 0x30, kJset = 0x40;
// operand: constant, index register, accumulator
inline constexpr uint16_t kK = 0x00, kX = 0x08, kA = 0x10;
// moves between the registers
inline constexpr uint16_t kTax = 0x00, kTxa = 0x80;

inline constexpr uint32_t kScratchWords = 16;
inline constexpr uint32_t kMaxInstructions = 4096;    // of a program for the kernel, and of one that a user gives
inline constexpr uint32_t kMostInstructions = 65535;  // that FilterVm runs

constexpr uint16_t instruction_class(uint16_t code) { return code & 0x07; }

// Offsets at which the Linux kernel shows metadata instead of packet bytes.
inline constexpr uint32_t kKernelMetadata = 0xfffff000;
inline constexpr uint32_t kPacketType = kKernelMetadata + 4;
inline constexpr uint32_t kInterfaceIndex = kKernelMetadata + 8;
/// A TunnelRow, word by word. Linux has nothing there.
inline constexpr uint32_t kTunnelRow = kKernelMetadata + 1024;
inline constexpr uint32_t kHardwareType = kKernelMetadata + 28;
inline constexpr uint32_t kVlanTag = kKernelMetadata + 44;
inline constexpr uint32_t kVlanTagPresent = kKernelMetadata + 48;
inline constexpr uint32_t kVlanProtocol = kKernelMetadata + 60;
// From here up a kernel reads "relative to a header" or metadata; in user space it is out of range.
inline constexpr uint32_t kFirstKernelOffset = 0xffe00000;

/// Is this one of the codes that the kernel and libpcap know?
constexpr bool is_instruction(uint16_t code) {
  switch (code) {
    case kLd | kW | kAbs:
    case kLd | kH | kAbs:
    case kLd | kB | kAbs:
    case kLd | kW | kInd:
    case kLd | kH | kInd:
    case kLd | kB | kInd:
    case kLd | kW | kLen:
    case kLd | kImm:
    case kLd | kMem:
    case kLdx | kW | kLen:
    case kLdx | kB | kMsh:
    case kLdx | kImm:
    case kLdx | kMem:
    case kSt:
    case kStx:
    case kAlu | kNeg:
    case kJmp | kJa:
    case kRet | kK:
    case kRet | kA:
    case kMisc | kTax:
    case kMisc | kTxa:
      return true;
  }
  const uint16_t operation = code & 0xf0;
  switch (code & ~uint16_t{0xf8}) {
    case kAlu:
      return operation <= kXor && operation != kNeg;
    case kJmp:
      return operation >= kJeq && operation <= kJset;
  }
  return false;
}

}  // namespace ringtap::bpf
