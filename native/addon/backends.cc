#include "addon/backends.h"

#include <algorithm>

#include "generated/backend_headers.inc"

namespace ringtap::addon {

const std::vector<Backend>& backends() {
  static const std::vector<Backend> table = {
#define RINGTAP_BACKEND(name) {#name, probe_##name, open_##name, devices_##name},
#define RINGTAP_SHARING_BACKEND(name) {#name, probe_##name, open_##name, devices_##name, open_shares_##name},
#include "generated/backends.inc"
#undef RINGTAP_BACKEND
#undef RINGTAP_SHARING_BACKEND
  };
  return table;
}

const Backend* find_backend(const std::string& name) {
  const auto& table = backends();
  const auto found = std::find_if(table.begin(), table.end(), [&](const Backend& b) { return name == b.name; });
  return found == table.end() ? nullptr : &*found;
}

Error missing_backend(const std::string& name) {
  return Error{.code = Code::kBackendMissing, .message = name + ": this build of ringtap does not have it"};
}

}  // namespace ringtap::addon
