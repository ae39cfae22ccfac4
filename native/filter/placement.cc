#include "filter/placement.h"

#include <algorithm>

#include "filter/opcodes.h"
#include "filter/prepend.h"
#include "filter/validate.h"

namespace ringtap {

std::optional<uint32_t> common_length(const Program& program) {
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

bool does_not_speak_of(const Error& error) {
  return error.code == Code::kBadFilter && error.message.find("unknown") == std::string::npos;
}

FilterPlacement UserFilter::place(const Program& program, const KernelFilter& kernel) {
  std::string obstacle = kernel_obstacle(program);
  if (obstacle.empty()) obstacle = kernel.attach(program);
  if (!obstacle.empty()) return place_here(program, std::move(obstacle));
  const std::optional<uint32_t> kept = kernel.cuts ? kMaxSnaplen : common_length(program);
  load(program, kept ? kernel.left : Judged::kAll, kept.value_or(kMaxSnaplen));
  switch (judged_) {
    case Judged::kAll:
      return {FilterPlace::kKernel, "and again in user space, which alone can tell how many bytes to keep"};
    case Judged::kTagged:
      return {FilterPlace::kKernel,
              "VLAN-tagged frames are decided in user space, where their tag is back in the bytes"};
    case Judged::kNone:
      break;
  }
  return {FilterPlace::kKernel, ""};
}

FilterPlacement UserFilter::place_here(const Program& program, std::string reason) {
  load(program, Judged::kAll, kMaxSnaplen);
  return {FilterPlace::kUser, std::move(reason)};
}

void UserFilter::place_elsewhere(uint32_t keep) {
  vm_.reset();
  judged_ = Judged::kNone;
  takes_long_ = false;
  kept_ = keep;
}

void UserFilter::load(const Program& program, Judged judged, uint32_t kept) {
  vm_.emplace(program, metadata_);
  judged_ = judged;
  takes_long_ = has_loop(program);
  kept_ = kept;
}

uint32_t UserFilter::run(const std::byte* data, uint32_t wirelen, uint32_t caplen,
                         std::span<const PacketMetadata> possible) noexcept {
  uint32_t keep = 0;
  for (const PacketMetadata& metadata : possible) {
    keep = std::max(keep, vm_->run(data, wirelen, caplen, budget_, metadata));
  }
  filtered_ += keep == 0;
  return keep;
}

}  // namespace ringtap
