// The head of a request or a response: a line, and what is told of the fields below it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringtap::protocol::http {

constexpr std::string_view kMethods[] = {
    "GET",      "POST",      "HEAD",     "PUT",   "DELETE", "OPTIONS",  "PATCH",      "CONNECT", "TRACE",
    "PROPFIND", "PROPPATCH", "MKCOL",    "COPY",  "MOVE",   "LOCK",     "UNLOCK",     "REPORT",  "SEARCH",
    "NOTIFY",   "SUBSCRIBE", "M-SEARCH", "PURGE", "MERGE",  "CHECKOUT", "UNSUBSCRIBE"};

/// Where the head that begins the text ends, behind its empty line; npos: not yet. @param from nothing before it is an
/// end
size_t end_of_head(std::string_view text, size_t from) noexcept;

constexpr std::string_view kSimple = "HTTP/0.9";

/// A line as HTTP 0.9 asks with, of a path: other protocols have a GET, too.
bool is_simple_request(std::string_view line) noexcept;
/// In any case.
bool is_same_word(std::string_view a, std::string_view b) noexcept;

struct Head {
  std::string method;
  std::string url;
  std::string protocol;
  std::string host;
  std::string user_agent;
  std::string referer;
  std::string forwarded_for;
  std::string content_type;
  std::string content_encoding;
  std::string location;
  std::string server;
  std::string upgrade;
  uint64_t content_length = 0;
  unsigned status = 0;
  uint16_t port = 0;
  bool has_length = false;
  bool is_chunked = false;
  bool is_ambiguous = false;  // how long the body is

  /// False: it is none.
  bool read(std::string_view text, bool is_response);
  size_t memory() const noexcept;
  /// A request of HTTP 0.9.
  bool is_simple() const noexcept { return protocol == kSimple; }
  /// One field; its name may be in any case. What is not told is passed over.
  void read_field(std::string_view name, std::string_view value);
  /// The same of HTTP 2, where the first line is fields, too.
  void read_field2(std::string_view name, std::string_view value);

 private:
  bool read_request_line(std::string_view line);
  bool read_status_line(std::string_view line);
  bool read_status(std::string_view digits);
  void set_host(std::string_view host);
};

}  // namespace ringtap::protocol::http
