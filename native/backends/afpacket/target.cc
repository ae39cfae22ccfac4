#include "backends/afpacket/target.h"

#include "linux/link_type.h"

namespace ringtap::afpacket {

Result<Target> query_target(int fd, const std::string& name, const std::string& uri) {
  if (name == "any") return Target{{.name = name, .up = true}, kLinkLinuxSll2, true};
  auto interface = query_interface(fd, name, uri);
  if (!interface) return std::move(interface).error();
  const auto link_type = link_type_of(interface->hardware);
  return Target{*std::move(interface), link_type.value_or(kLinkLinuxSll2), !link_type};
}

}  // namespace ringtap::afpacket
