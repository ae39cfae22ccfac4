// HTTP 2 without TLS: from its preface, from the first frame of a server, or from an upgrade of HTTP 1 on.
#pragma once

#include <memory>

#include "protocol/http/exchange.h"
#include "protocol/protocol.h"

namespace ringtap::protocol::http {

/// Does it begin here? One that had begun before does not: its header fields build upon those before.
Match match_http2(Span bytes);

/// @param request what it begins with, of an upgrade; null: nothing
std::unique_ptr<Conversation> open_http2(std::unique_ptr<Exchange> request);

}  // namespace ringtap::protocol::http
