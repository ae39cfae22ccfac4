// See README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::arp {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::arp
