// The filter behind the opening of tunnels: one program for each link type that comes out of them.
#pragma once

#include <memory>
#include <vector>

#include "core/error.h"
#include "core/program.h"
#include "core/tunnel.h"
#include "filter/vm.h"

namespace ringtap {

class TunnelFilter {
 public:
  /// Compiles the filter for these link types; those that it does not speak of match nothing. An error is one that no
  /// link type is free of.
  Result<Ok> set(std::shared_ptr<Filter> filter, const std::vector<uint32_t>& link_types);
  bool is_set() const noexcept { return filter_ != nullptr; }

  /// At each receive().
  void renew() noexcept { budget_.renew(); }
  bool used_up() const noexcept { return budget_.used_up(); }

  /// The machine for a link type, which is compiled where it is a new one. Null: ask again in the next receive().
  Result<const FilterVm*> soon(uint32_t link_type);

  /// How many bytes to keep of a packet; 0 rejects it.
  uint32_t run(const FilterVm& vm, const std::byte* data, uint32_t wirelen, uint32_t caplen,
               const TunnelRow& row) noexcept {
    return vm.run(data, wirelen, caplen, budget_, PacketMetadata{.tunnel = &row});
  }

 private:
  struct Known {
    uint32_t link_type;
    std::unique_ptr<FilterVm> vm;
  };
  Result<const FilterVm*> add(uint32_t link_type, Result<const Program*> program);

  std::shared_ptr<Filter> filter_;
  std::vector<Known> known_;
  FilterBudget budget_;
};

}  // namespace ringtap
