// Which packets the kernel's filter decides, and which are left to us.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/program.h"
#include "filter/vm.h"

namespace ringtap::pfring {

/// WHY not the kernel alone: it strips VLAN tags before the filter runs and the module puts them back behind it, so
/// that a tagged packet can only be decided here. And the module takes a filter's answer for yes or no: how many bytes
/// to keep is applied here.
class Judge {
 public:
  /// Installs a kernel program in front of every packet from then on; returns errno.
  using Attach = std::function<int(const Program&)>;

  FilterPlacement place(const Program& program, const Attach& attach);
  /// All in user space, because of `reason`.
  FilterPlacement place_here(const Program& program, std::string reason);

  bool decides_something() const noexcept { return who_ != Who::kNobody; }
  /// A packet may use up what a receive() has.
  bool takes_long() const noexcept { return takes_long_; }

  /// How many bytes of a packet to keep; 0 rejects it.
  uint32_t keep(const std::byte* data, uint32_t wirelen, uint32_t caplen) noexcept {
    if (who_ == Who::kUsTagged && !tagged(data, caplen)) return keep_;
    return vm_->run(data, wirelen, caplen, budget_);
  }

  /// At each receive().
  void begin() noexcept { budget_.renew(); }
  /// It has taken long enough: receive() comes back with what there is.
  bool exhausted() const noexcept { return budget_.used_up(); }

 private:
  enum class Who : uint8_t { kNobody, kUsTagged, kUsAll };

  static bool tagged(const std::byte* data, uint32_t caplen) noexcept {
    if (caplen < 14) return false;
    const auto type = std::to_integer<uint32_t>(data[12]) << 8 | std::to_integer<uint32_t>(data[13]);
    return type == 0x8100 || type == 0x88a8;
  }

  Who who_ = Who::kNobody;
  std::optional<FilterVm> vm_;
  FilterBudget budget_;
  bool takes_long_ = false;
  uint32_t keep_ = 0;  // of a packet that the kernel has accepted
};

}  // namespace ringtap::pfring
