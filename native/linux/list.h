// Which network interfaces there are.
#pragma once

#include <vector>

#include "linux/interface.h"

namespace ringtap {

/// The interfaces of this network namespace. None where the kernel does not let us ask.
std::vector<Interface> list_interfaces();

}  // namespace ringtap
