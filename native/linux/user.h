// A process that began as root goes on as somebody else.
#pragma once

#include <string>

#include "core/error.h"

namespace ringtap {

/// Every thread of the process becomes this user, of its groups and no others, for good. This thread, and those that it
/// starts, keep what capturing from packet sockets takes, CAP_NET_RAW and CAP_NET_ADMIN, and nothing else; what is
/// executed has neither. That all of it is so is looked at before this returns. BAD_OPTION: there is no such user, or
/// he is root; NO_PERMISSION: this process may not become anybody.
Result<Ok> become_user(const std::string& name);

}  // namespace ringtap
