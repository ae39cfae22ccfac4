#include "stages/tunnel_filter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "filter/opcodes.h"
#include "filter/placement.h"

namespace ringtap {
namespace {

FilterTarget target_of(uint32_t link_type) { return {static_cast<int>(link_type), FilterTarget::Place::kTunnel}; }

}  // namespace

Result<Ok> TunnelFilter::set(std::shared_ptr<Filter> filter, const std::vector<uint32_t>& link_types) {
  filter_ = std::move(filter);
  known_.clear();
  std::optional<Error> refused;
  bool speaks_of_any = false;
  for (const uint32_t link_type : link_types) {
    auto program = filter_->program(target_of(link_type));
    if (!program && !refused) refused = program.error();
    speaks_of_any |= bool{program};
    if (auto added = add(link_type, std::move(program)); !added) return std::move(added).error();
  }
  if (!speaks_of_any && refused) return *std::move(refused);
  return Ok{};
}

Result<const FilterVm*> TunnelFilter::soon(uint32_t link_type) {
  const auto found = std::find_if(known_.begin(), known_.end(),
                                  [link_type](const Known& known) { return known.link_type == link_type; });
  if (found != known_.end()) return found->vm.get();
  auto program = filter_->program_soon(target_of(link_type));
  if (program && *program == nullptr) return static_cast<const FilterVm*>(nullptr);
  return add(link_type, std::move(program));
}

Result<const FilterVm*> TunnelFilter::add(uint32_t link_type, Result<const Program*> program) {
  if (!program && !does_not_speak_of(program.error())) return std::move(program).error();
  const Program nothing{{.code = bpf::kRet | bpf::kK}};
  const Program& loaded = program ? **program : nothing;
  known_.push_back({link_type, std::make_unique<FilterVm>(loaded, FilterVm::Metadata::kIsRead)});
  return known_.back().vm.get();
}

}  // namespace ringtap
