#include "backends/pfring/judge.h"

#include <cstring>

#include "core/snaplen.h"
#include "filter/opcodes.h"
#include "filter/prepend.h"
#include "filter/validate.h"

namespace ringtap::pfring {

namespace {

/// What every accepting return says, if they agree.
std::optional<uint32_t> kept_bytes(const Program& program) {
  std::optional<uint32_t> common;
  for (const BpfInsn& insn : program) {
    if (bpf::instruction_class(insn.code) != bpf::kRet) continue;
    if (insn.code != (bpf::kRet | bpf::kK)) return std::nullopt;
    if (insn.k == 0) continue;
    if (common && *common != insn.k) return std::nullopt;
    common = insn.k;
  }
  return common.value_or(kMaxSnaplen);
}

}  // namespace

FilterPlacement Judge::place(const Program& program, const Attach& attach) {
  std::string obstacle = kernel_obstacle(program);
  if (!obstacle.empty()) return place_here(program, std::move(obstacle));
  // The prefix also makes it longer than one instruction, which the module takes for no filter at all.
  if (const int err = attach(with_vlan_prefix(program, kMaxSnaplen)); err != 0) {
    return place_here(program, "the module refused the program: " + std::string(std::strerror(err)));
  }
  vm_.emplace(program);
  const std::optional<uint32_t> kept = kept_bytes(program);
  keep_ = kept.value_or(0);
  who_ = kept ? Who::kUsTagged : Who::kUsAll;
  return {"kernel", kept ? "VLAN-tagged frames are decided in user space, where their tag is back in the bytes"
                         : "and again in user space, which alone can tell how many bytes to keep"};
}

FilterPlacement Judge::place_here(const Program& program, std::string reason) {
  vm_.emplace(program);
  takes_long_ = has_loop(program);
  who_ = Who::kUsAll;
  return {"user", std::move(reason)};
}

}  // namespace ringtap::pfring
