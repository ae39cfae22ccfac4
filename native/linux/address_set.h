// IP addresses that BPF programs look up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"

namespace ringtap {

class AddressSet {
 public:
  /// As a program has it on its stack.
  struct Key {
    std::array<std::byte, 16> address{};  // of IPv4 in the first four bytes, zeros behind
    uint32_t v6 = 0;
    bool operator==(const Key&) const = default;
  };
  static_assert(sizeof(Key) == 20);

  /// Empty. `what`: for messages, whose it is and what for. NO_PERMISSION, SYSTEM.
  static Result<AddressSet> create(const std::string& what);

  /// A BPF hash map with these keys; what is there has a value.
  int map() const noexcept { return map_.get(); }
  /// These instead of those before. In between both are there. BAD_OPTION: too many.
  Result<Ok> set(const std::vector<Key>& addresses);

 private:
  UniqueFd map_;
  std::vector<Key> now_;
};

}  // namespace ringtap
