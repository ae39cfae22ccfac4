// Rdp: see README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::rdp {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::rdp
