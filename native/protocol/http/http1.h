// HTTP 0.9, 1.0 and 1.1.
#pragma once

#include <memory>

#include "protocol/http/exchange.h"
#include "protocol/protocol.h"

namespace ringtap::protocol::http {

/// A connection of it.
class Http1 : public Conversation {
 public:
  /// The request that HTTP 2 goes on with, where both ends have agreed on that just now; once.
  virtual std::unique_ptr<Exchange> upgraded() = 0;
};

Match match_http1(Span bytes);
std::unique_ptr<Http1> open_http1();

}  // namespace ringtap::protocol::http
