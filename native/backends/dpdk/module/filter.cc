#include "backends/dpdk/module/filter.h"

#include <rte_bpf.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include <vector>

#include "filter/opcodes.h"

// As pcap/bpf.h has them: DPDK declares the first and takes it from there.
struct bpf_insn {
  unsigned short code;
  unsigned char jt;
  unsigned char jf;
  unsigned int k;
};
struct bpf_program {
  unsigned int bf_len;
  struct bpf_insn* bf_insns;
};

namespace ringtap::dpdk {

namespace {

// WHY: DPDK 22.11 gets some programs wrong, up to reading outside the packet. What its converter and its x86 code are
// right about, random programs have shown (native/test/dpdk_test.cc): everything but these.
bool dpdk_gets_it_right(const Program& program) {
  using namespace bpf;
  constexpr uint32_t kFar = 0x10000;                    // offsets are signed there
  if (program.size() > kMaxInstructions) return false;  // and have 16 bits in jumps
  bool loads_at_x = false;
  bool x_is_small = true;
  for (const BpfInsn& insn : program) {
    const uint16_t kind = insn.code & 0x07;
    const uint16_t mode = insn.code & 0xe0;
    if (kind == kLd && (mode == kAbs || mode == kInd) && insn.k >= kFar) return false;
    if (insn.code == (kLdx | kB | kMsh) && insn.k >= kFar) return false;
    loads_at_x |= kind == kLd && mode == kInd;
    // Sums of offsets wrap.
    const bool sets_x = kind == kLdx || insn.code == (kMisc | kTax);
    const bool small = insn.code == (kLdx | kB | kMsh) || (insn.code == (kLdx | kImm) && insn.k < kFar);
    x_is_small &= !sets_x || small;
    const uint16_t operation = insn.code & 0xf0;
    // A shift by 32 and more is 0 here, and division by 0 rejects.
    if (kind == kAlu && (insn.code & kX) != 0 && operation != kAdd && operation != kSub && operation != kAnd &&
        operation != kOr) {
      return false;
    }
  }
  return !loads_at_x || x_is_small;
}

bool is_jump(const ebpf_insn& insn) {
  const uint8_t operation = BPF_OP(insn.code);
  return BPF_CLASS(insn.code) == BPF_JMP && operation != EBPF_EXIT && operation != EBPF_CALL;
}

/// A comparison with a constant that must go through a register: its code for jset is an instruction that does not
/// exist when the constant is below 128, and constants with the highest bit set become negative.
bool wants_register(const ebpf_insn& insn) {
  if (!is_jump(insn) || BPF_OP(insn.code) == BPF_JA || BPF_SRC(insn.code) != BPF_K) return false;
  return BPF_OP(insn.code) == BPF_JSET || insn.imm < 0;
}

/// A converted program without what DPDK's JIT does wrong.
std::vector<ebpf_insn> mended(const ebpf_insn* insns, uint32_t count) {
  std::vector<int32_t> moved(count + 1);  // where each instruction starts now
  int32_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    moved[i] = at;
    at += wants_register(insns[i]) ? 2 : 1;
  }
  moved[count] = at;
  std::vector<ebpf_insn> result;
  for (uint32_t i = 0; i < count; i++) {
    ebpf_insn insn = insns[i];
    if (wants_register(insn)) {
      // A converted program leaves registers 2 to 5 alone.
      result.push_back(
          {.code = BPF_ALU | EBPF_MOV | BPF_K, .dst_reg = EBPF_REG_2, .src_reg = 0, .off = 0, .imm = insn.imm});
      insn.code = static_cast<uint8_t>((insn.code & ~BPF_K) | BPF_X);
      insn.src_reg = EBPF_REG_2;
      insn.imm = 0;
    }
    // The converter forgets which register loads of a byte or a word are relative to.
    if (BPF_CLASS(insn.code) == BPF_LD && BPF_MODE(insn.code) == BPF_IND) insn.src_reg = EBPF_REG_7;
    if (is_jump(insn)) {
      const auto target = static_cast<uint32_t>(static_cast<int32_t>(i) + 1 + insn.off);
      insn.off = static_cast<int16_t>(moved[target] - static_cast<int32_t>(result.size()) - 1);
    }
    result.push_back(insn);
  }
  return result;
}

rte_bpf* load(const Program& program) {
  if (!dpdk_gets_it_right(program)) return nullptr;
  std::vector<bpf_insn> insns;
  for (const BpfInsn& insn : program) insns.push_back({insn.code, insn.jt, insn.jf, insn.k});
  const bpf_program classic{static_cast<unsigned>(insns.size()), insns.data()};
  rte_bpf_prm* converted = rte_bpf_convert(&classic);
  if (converted == nullptr) return nullptr;
  const std::vector<ebpf_insn> fixed = mended(converted->ins, converted->nb_ins);
  rte_bpf_prm ready = *converted;
  ready.ins = fixed.data();
  ready.nb_ins = static_cast<uint32_t>(fixed.size());
  rte_bpf* bpf = rte_bpf_load(&ready);
  rte_free(converted);
  return bpf;
}

}  // namespace

void FreeBpf::operator()(rte_bpf* bpf) const noexcept { rte_bpf_destroy(bpf); }

MbufFilter::MbufFilter(const Program& program) : vm_(program), bpf_(load(program)) {
  rte_bpf_jit jit{};
  if (bpf_ && rte_bpf_get_jit(bpf_.get(), &jit) == 0) code_ = jit.func;
}

uint32_t MbufFilter::keep(rte_mbuf* packet) const noexcept {
  if (code_ != nullptr) return static_cast<uint32_t>(code_(packet));
  return keep(rte_pktmbuf_mtod(packet, const std::byte*), packet->data_len);
}

FilterPlacement MbufFilter::placement() const {
  if (compiled()) return {.where = FilterPlace::kUser, .reason = "machine code in the polling thread, by DPDK"};
  return {.where = FilterPlace::kUser,
          .reason = "interpreted in the polling thread: DPDK compiles it wrongly or not at all"};
}

}  // namespace ringtap::dpdk
