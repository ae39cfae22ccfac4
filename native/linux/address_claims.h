// Addresses that a forwarder has for itself.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"
#include "linux/address_set.h"

namespace ringtap {

/// So that two forwarders on one interface notice each other: neither sees the other's ARP, and both would forward. A
/// claim is an abstract Unix socket, whose names belong to the network namespace, and which goes with its process.
class AddressClaims {
 public:
  /// `what` tells claims apart that have nothing to do with each other.
  AddressClaims(int interface, std::string name, std::string what)
      : interface_(interface), name_(std::move(name)), what_(std::move(what)) {}

  /// Instead of those before. BUSY: another forwarder has one of these; then all is as it was.
  Result<Ok> set(const std::vector<AddressSet::Key>& addresses);

 private:
  Result<UniqueFd> claim(const std::string& address) const;

  int interface_;
  std::string name_, what_;
  std::map<std::string, UniqueFd> held_;  // by the address's text
};

}  // namespace ringtap
