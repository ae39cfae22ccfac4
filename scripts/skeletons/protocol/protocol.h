// @Name@: see README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::@name@ {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::@name@
