// See README.md beside it.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::quic {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::quic
