#include "linux/address_set.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "linux/bpf_call.h"
#include "linux/rights.h"

namespace ringtap {

namespace {

using namespace bpf_call;

constexpr uint32_t kMostAddresses = 4096;
constexpr Capabilities kNeeded = {Capability::kNetRaw, Capability::kNetAdmin, Capability::kBpf};

Error refused(const std::string& what, int err) {
  if (err == EPERM || err == EACCES) return right_refused(what, kNeeded, kNeeded, "bpf", err);
  return system_error(Code::kSystem, what, "bpf", err);
}

Result<Ok> change(int map, const AddressSet::Key& key, AddressSet::What what, bool is_there) {
  const auto value = static_cast<uint32_t>(what);
  bpf_attr attr = zero_attr();
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = address(&key);
  attr.value = is_there ? address(&value) : 0;
  if (bpf(is_there ? BPF_MAP_UPDATE_ELEM : BPF_MAP_DELETE_ELEM, attr) == 0) return Ok{};
  if (!is_there && errno == ENOENT) return Ok{};
  if (errno == E2BIG) {
    return Error{.code = Code::kBadOption,
                 .message = "more than " + std::to_string(kMostAddresses) + " addresses on one interface",
                 .hint = "Use fewer rules for each interface."};
  }
  return refused("writing to a BPF map", errno);
}

}  // namespace

Result<AddressSet> AddressSet::create(const std::string& what) {
  bpf_attr attr = zero_attr();
  attr.map_type = BPF_MAP_TYPE_HASH;
  attr.key_size = sizeof(Key);
  attr.value_size = sizeof(uint32_t);
  attr.max_entries = kMostAddresses;
  std::strncpy(attr.map_name, "ringtap_inline", sizeof attr.map_name - 1);
  AddressSet made;
  made.map_.reset(bpf(BPF_MAP_CREATE, attr));
  if (!made.map_) return refused(what, errno);
  return made;
}

Result<Ok> AddressSet::set(const std::vector<Key>& addresses, What what) {
  const bool is_all = what == What::kAll;
  const std::vector<Key>& others = is_all ? geneve_ : all_;
  const auto is_in = [](const std::vector<Key>& list, const Key& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
  };
  for (const Key& one : addresses) {
    // What is there for all stays so, while one rule takes the place of another.
    if (!is_all && is_in(others, one)) continue;
    if (auto done = change(map_.get(), one, what, true); !done) return done;
  }
  for (const Key& one : std::exchange(is_all ? all_ : geneve_, addresses)) {
    if (is_in(addresses, one)) continue;
    const bool stays = is_in(others, one);
    if (auto done = change(map_.get(), one, is_all ? What::kGeneve : What::kAll, stays); !done) return done;
  }
  return Ok{};
}

}  // namespace ringtap
