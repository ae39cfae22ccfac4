// The filter of a trace: one program for each link type in it.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/program.h"
#include "filter/vm.h"
#include "format/reader.h"

namespace ringtap::file {

class Filters {
 public:
  /// Compiles the filter for the link types that the trace has announced; those that it does not speak of match
  /// nothing. An error is one that no link type is free of; `alone`: or that there is no other link type to speak of.
  Result<Ok> set(std::shared_ptr<Filter> filter, const std::vector<FilterTarget>& announced, bool alone = true);
  bool are_set() const noexcept { return filter_ != nullptr; }

  /// Of a link type that set() was given. Valid as long as this is.
  PacketFilter* of(const FilterTarget& target) { return filters_[target].get(); }
  /// Of any other. Null: ask again in the next receive(), by when it may be compiled.
  Result<PacketFilter*> soon(const FilterTarget& target);

  /// A receive() begins: it may run as long as one may.
  void renew(PacketFilter* in_force) noexcept;

 private:
  Result<std::unique_ptr<PacketFilter>> make(Result<const Program*> program);

  std::shared_ptr<Filter> filter_;
  std::map<FilterTarget, std::unique_ptr<PacketFilter>> filters_;
  FilterBudget budget_;
};

}  // namespace ringtap::file
