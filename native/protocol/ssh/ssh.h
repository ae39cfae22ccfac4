// See README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::ssh {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::ssh
