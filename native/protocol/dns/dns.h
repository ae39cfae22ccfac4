// DNS over UDP and TCP, mDNS and LLMNR.
#pragma once

#include "protocol/protocol.h"

namespace ringtap::protocol::dns {

extern const Protocol kProtocol;

}  // namespace ringtap::protocol::dns
