#include "protocol/http/exchange.h"

namespace ringtap::protocol::http {

#include "generated/http_fields.inc"

namespace {

void put_stream(Writer& event, const StreamPlace& stream) {
  event.open(kHttp2);
  event.put(kStreamId, stream.id);
  if (!stream.request_error.empty()) {
    event.open(kRequest);
    event.put(kErrorCode, stream.request_error);
    event.close();
  }
  if (!stream.response_error.empty()) {
    event.open(kResponse);
    event.put(kErrorCode, stream.response_error);
    event.close();
  }
  event.close();
}

}  // namespace

void tell(const Exchange& exchange, bool is_incomplete, const StreamPlace* stream, Output& out) {
  Event event = out.event(kType);
  if (!event) return;
  const Head& request = exchange.request;
  const Head& response = exchange.response;
  const auto text = [&](TextKey key, const std::string& value) {
    if (!value.empty()) event->put(key, value);
  };
  if (exchange.has_request) {
    text(kHostname, request.host);
    if (request.port != 0) event->put(kHttpPort, request.port);
    // Without the library for them, fields of HTTP 2 are not known.
    if (stream == nullptr || !request.url.empty()) event->put(kUrl, request.url);
    text(kHttpUserAgent, request.user_agent);
    text(kXff, request.forwarded_for);
  }
  text(kHttpContentType, response.content_type);
  text(kHttpRefer, request.referer);
  if (exchange.has_request) text(kHttpMethod, request.method);
  text(kProtocolKey, exchange.has_request ? request.protocol : response.protocol);
  if (stream != nullptr) event->put(kVersion, "2");
  if (exchange.has_response) {
    if (response.status != 0) event->put(kStatus, response.status);
    text(kRedirect, response.location);
    text(kServer, response.server);
    event->put(kLength, exchange.length);
    text(kContentEncoding, response.content_encoding);
  }
  if (exchange.request_length > 0) event->put(kRequestLength, exchange.request_length);
  if (exchange.has_request && exchange.has_response && exchange.answered_at >= exchange.asked_at) {
    event->put(kLatencyUs, static_cast<uint64_t>(exchange.answered_at - exchange.asked_at) / 1000);
  }
  if (response.status == 101) text(kUpgrade, response.upgrade);
  if (stream != nullptr) put_stream(*event, *stream);
  if (is_incomplete) event->put(kIncomplete, true);
}

}  // namespace ringtap::protocol::http
