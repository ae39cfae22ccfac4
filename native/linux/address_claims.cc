#include "linux/address_claims.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace ringtap {

namespace {

std::string to_text(const AddressSet::Key& key) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(key.v6 != 0 ? AF_INET6 : AF_INET, key.address.data(), text, sizeof text);
  return text;
}

}  // namespace

Result<UniqueFd> AddressClaims::claim(const std::string& address) const {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return system_error(Code::kSystem, name_ + ": claiming " + address, "socket", errno);
  const std::string title = "ringtap-" + what_ + "/" + std::to_string(interface_) + "/" + address;
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  // The name begins with a zero, and is as long as is told.
  std::copy_n(title.data(), std::min(title.size(), sizeof at.sun_path - 1), at.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + title.size());
  // SAFETY: the way that bind() is called.
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), length) == 0) return socket;
  if (errno != EADDRINUSE) return system_error(Code::kSystem, name_ + ": claiming " + address, "bind", errno);
  return Error{.code = Code::kBusy,
               .message = name_ + ": another forwarder has a rule with " + address,
               .hint = "End it, or give the rule another address. Who it is: sudo ss -xap | grep @" + title,
               .syscall = "bind",
               .err = EADDRINUSE};
}

Result<Ok> AddressClaims::set(const std::vector<AddressSet::Key>& addresses) {
  std::map<std::string, UniqueFd> fresh;
  std::vector<std::string> wanted;
  for (const AddressSet::Key& one : addresses) {
    wanted.push_back(to_text(one));
    if (held_.contains(wanted.back()) || fresh.contains(wanted.back())) continue;
    auto claimed = claim(wanted.back());
    if (!claimed) return std::move(claimed).error();
    fresh.emplace(wanted.back(), *std::move(claimed));
  }
  std::erase_if(held_,
                [&](const auto& one) { return std::find(wanted.begin(), wanted.end(), one.first) == wanted.end(); });
  held_.merge(fresh);
  return Ok{};
}

}  // namespace ringtap
