// Keeps what is for our addresses from the host's own stack, which would answer, redirect or forward it.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"
#include "linux/address_set.h"

namespace ringtap::afpacket {

/// A program at the ingress of an interface that drops packets to some addresses, ARP and neighbour discovery for them
/// included, or what is GENEVE among them. WHY there: packet sockets come before it, the host's stack behind. It goes
/// with its descriptor.
class Guard {
 public:
  /// UNSUPPORTED: before Linux 6.6, where the host forwards: it would send second copies. Where it does not, there is
  /// none, and is_there() is false. NO_PERMISSION.
  static Result<Guard> open(int interface, const std::string& name);
  bool is_there() const noexcept { return bool(link_); }
  /// Instead of those before that were for the same. In between both are kept away.
  Result<Ok> set(const std::vector<AddressSet::Key>& addresses, AddressSet::What what);

 private:
  AddressSet addresses_;
  UniqueFd program_;
  UniqueFd link_;
};

}  // namespace ringtap::afpacket
