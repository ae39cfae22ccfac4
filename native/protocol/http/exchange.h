// A request and its response, whichever version they are of.
#pragma once

#include <cstdint>

#include "protocol/http/head.h"
#include "protocol/protocol.h"

namespace ringtap::protocol::http {

/// The type of its events.
constexpr std::string_view kType = "http";

struct Exchange {
  Head request;
  Head response;
  uint64_t request_length = 0;
  uint64_t length = 0;
  int64_t asked_at = 0;
  int64_t answered_at = 0;
  bool has_request = false;
  bool has_response = false;

  size_t memory() const noexcept { return sizeof(Exchange) + request.memory() + response.memory(); }
};

/// Where an exchange of HTTP 2 stands in its connection.
struct StreamPlace {
  uint32_t id = 0;
  std::string_view request_error;   // why an end reset it; empty: it did not
  std::string_view response_error;  // … and the other end
};

/// @param is_incomplete there should have been more of the response @param stream null: it is not of HTTP 2
void tell(const Exchange& exchange, bool is_incomplete, const StreamPlace* stream, Output& out);

}  // namespace ringtap::protocol::http
