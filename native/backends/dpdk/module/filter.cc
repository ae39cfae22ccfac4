#include "backends/dpdk/module/filter.h"

#include <rte_bpf.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

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

rte_bpf* load(const Program& program) {
  std::vector<bpf_insn> insns;
  for (const BpfInsn& insn : program) insns.push_back({insn.code, insn.jt, insn.jf, insn.k});
  const bpf_program classic{static_cast<unsigned>(insns.size()), insns.data()};
  rte_bpf_prm* converted = rte_bpf_convert(&classic);
  if (converted == nullptr) return nullptr;
  rte_bpf* bpf = rte_bpf_load(converted);
  rte_free(converted);
  return bpf;
}

}  // namespace

void FreeBpf::operator()(rte_bpf* bpf) const noexcept { rte_bpf_destroy(bpf); }

PacketFilter::PacketFilter(const Program& program) : vm_(program), bpf_(load(program)) {
  rte_bpf_jit jit{};
  if (bpf_ && rte_bpf_get_jit(bpf_.get(), &jit) == 0) code_ = jit.func;
}

uint32_t PacketFilter::keep(rte_mbuf* packet) const noexcept {
  if (code_ != nullptr) return static_cast<uint32_t>(code_(packet));
  return keep(rte_pktmbuf_mtod(packet, const std::byte*), packet->data_len);
}

FilterPlacement PacketFilter::placement() const {
  if (compiled()) return {.where = "user", .reason = "machine code in the polling thread, by DPDK"};
  return {.where = "user", .reason = "interpreted in the polling thread: DPDK cannot compile this program"};
}

}  // namespace ringtap::dpdk
