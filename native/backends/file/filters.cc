#include "backends/file/filters.h"

#include <optional>
#include <string>
#include <utility>

#include "filter/opcodes.h"
#include "filter/placement.h"

namespace ringtap::file {
namespace {

// For how many link types a filter is compiled before the first packet.
constexpr size_t kMostAhead = 16;

class VmFilter final : public PacketFilter {
 public:
  VmFilter(const Program& program, FilterBudget& budget) : vm_(program), is_quick_(vm_.is_quick()), budget_(budget) {}
  uint32_t keep(const std::byte* data, uint32_t wirelen, uint32_t caplen) noexcept override {
    // Of the others no receive() reads more than it can run.
    if (is_quick_) return vm_.run(data, wirelen, caplen);
    const uint32_t kept = vm_.run(data, wirelen, caplen, budget_);
    if (budget_.used_up()) exhausted = true;
    return kept;
  }

 private:
  FilterVm vm_;
  const bool is_quick_;
  FilterBudget& budget_;
};

}  // namespace

Result<Ok> Filters::set(std::shared_ptr<Filter> filter, const std::vector<FilterTarget>& announced, bool alone) {
  filter_ = std::move(filter);
  filters_.clear();
  std::optional<Error> refused;
  bool speaks_of_any = false;
  for (const FilterTarget& target : announced) {
    if (filters_.count(target) != 0) continue;
    if (filters_.size() == kMostAhead) break;
    auto program = filter_->program(target);
    if (!program && !does_not_speak_of(program.error())) return std::move(program).error();
    if (!program && !refused) refused = program.error();
    speaks_of_any |= bool{program};
    auto made = make(std::move(program));
    if (!made) return std::move(made).error();
    filters_[target] = *std::move(made);
  }
  if (!speaks_of_any && alone) return *std::move(refused);
  return Ok{};
}

Result<PacketFilter*> Filters::soon(const FilterTarget& target) {
  constexpr PacketFilter* kNotYet = nullptr;
  auto& slot = filters_[target];
  if (slot != nullptr) return slot.get();
  auto program = filter_->program_soon(target);
  if (program && *program == nullptr) return kNotYet;
  auto made = make(std::move(program));
  if (!made) return std::move(made).error();
  slot = *std::move(made);
  return kNotYet;  // one a receive(): a file may have thousands of link types
}

void Filters::renew(PacketFilter* in_force) noexcept {
  budget_.renew();
  if (in_force != nullptr) in_force->exhausted = false;
}

Result<std::unique_ptr<PacketFilter>> Filters::make(Result<const Program*> program) {
  if (program) return std::unique_ptr<PacketFilter>(std::make_unique<VmFilter>(**program, budget_));
  if (!does_not_speak_of(program.error())) return std::move(program).error();
  const Program nothing{{.code = bpf::kRet | bpf::kK}};
  return std::unique_ptr<PacketFilter>(std::make_unique<VmFilter>(nothing, budget_));
}

}  // namespace ringtap::file
