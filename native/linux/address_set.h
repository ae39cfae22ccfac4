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

  /// What a program finds: all that is for the address is meant, or only GENEVE.
  enum class What : uint32_t { kAll = 1, kGeneve };

  /// Empty. `what`: for messages, whose it is and what for. NO_PERMISSION, SYSTEM.
  static Result<AddressSet> create(const std::string& what);

  /// A BPF hash map with these keys, whose values are What.
  int map() const noexcept { return map_.get(); }
  /// Instead of those before that were there for the same. In between both are. BAD_OPTION: too many.
  Result<Ok> set(const std::vector<Key>& addresses, What what = What::kAll);

 private:
  UniqueFd map_;
  std::vector<Key> all_, geneve_;
};

/// Of addresses that have `bytes` and `v6`.
template <class Addresses>
std::vector<AddressSet::Key> keys_of(const Addresses& addresses) {
  std::vector<AddressSet::Key> keys;
  for (const auto& one : addresses) keys.push_back({.address = one.bytes, .v6 = one.v6 ? 1u : 0u});
  return keys;
}

}  // namespace ringtap
