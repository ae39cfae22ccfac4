// See README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::tls {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::tls
