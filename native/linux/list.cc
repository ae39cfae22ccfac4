#include "linux/list.h"

#include <memory>
#include <string>

#include "core/text.h"

namespace ringtap {

namespace {

std::vector<std::string> interface_names() {
  std::vector<std::string> names;
  const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> index(if_nameindex(), if_freenameindex);
  if (index != nullptr) {
    for (const struct if_nameindex* entry = index.get(); entry->if_index != 0; entry++)
      names.emplace_back(entry->if_name);
    return names;
  }
  // It asks by netlink, which sandboxes refuse: two lines of titles, then "  eth0: 1234 …".
  for (const std::string& line : lines_of(content_of("/proc/self/net/dev"))) {
    const size_t begin = line.find_first_not_of(' ');
    const size_t end = line.find(':');
    if (begin < end && end != std::string::npos) names.push_back(line.substr(begin, end - begin));
  }
  return names;
}

}  // namespace

std::vector<Interface> list_interfaces() {
  std::vector<Interface> interfaces;
  const UniqueFd fd = query_socket();
  for (const std::string& name : interface_names()) {
    auto interface = query_interface(fd.get(), name, "devices");
    if (interface) interfaces.push_back(*std::move(interface));  // the others went away meanwhile
  }
  return interfaces;
}

}  // namespace ringtap
