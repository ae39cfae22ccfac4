// The arguments that EAL is started with.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace ringtap::dpdk {

/// The arguments of the option `eal`. Refused unless they are known to be harmless, and their values to be what EAL can
/// read: it prints to the terminal, pins threads or ends the process for others (--help).
Result<std::vector<std::string>> checked_arguments(const std::string& uri, const std::string& text);

/// Whether EAL can have the memory that its checked arguments ask for.
Result<Ok> check_memory(const std::string& uri, const std::vector<std::string>& arguments, bool huge_pages);

struct EalNeeds {
  std::string pci;         // the one address that EAL may touch; empty: none
  bool huge_pages = true;  // whether there are any to use
  std::vector<std::string> extra;
};

/// argv for rte_eal_init().
std::vector<std::string> eal_arguments(const EalNeeds& needs);

/// Bytes of free huge pages.
uint64_t free_huge_bytes();

}  // namespace ringtap::dpdk
