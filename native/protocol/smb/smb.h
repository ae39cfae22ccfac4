// See README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::smb {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::smb
