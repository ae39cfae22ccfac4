#include "linux/list.h"

#include <memory>

namespace ringtap {

std::vector<Interface> list_interfaces() {
  std::vector<Interface> interfaces;
  const UniqueFd fd = query_socket();
  const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> names(if_nameindex(), if_freenameindex);
  if (names == nullptr) return interfaces;
  for (const struct if_nameindex* entry = names.get(); entry->if_index != 0; entry++) {
    auto interface = query_interface(fd.get(), entry->if_name, "devices");
    if (interface) interfaces.push_back(*std::move(interface));  // the others went away meanwhile
  }
  return interfaces;
}

}  // namespace ringtap
