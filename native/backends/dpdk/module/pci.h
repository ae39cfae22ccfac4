// PCI network cards, read from sysfs: EAL must not touch one that nobody asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap::dpdk {

struct PciNic {
  std::string address;  // 0000:01:00.0
  std::string driver;   // empty: bound to none

  /// Bound to a driver that leaves the NIC to user space, or that shares it.
  bool for_dpdk() const;
};

/// Every PCI network card, by address.
std::vector<PciNic> pci_nics();

/// 0000:01:00.0 or 01:00.0; the long form of it.
std::optional<std::string> pci_address(const std::string& text);

/// Whether DPDK can have this card; what to do about it if not.
Result<Ok> check_nic(const std::string& uri, const std::string& address);

/// Whether the card is still there. From any thread.
bool is_plugged_in(const std::string& address) noexcept;

/// The card with this index among those that are bound for DPDK.
Result<std::string> nic_at(const std::string& uri, size_t index);

}  // namespace ringtap::dpdk
