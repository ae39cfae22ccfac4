// See README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::http {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::http
