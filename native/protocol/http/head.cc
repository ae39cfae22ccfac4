#include "protocol/http/head.h"

#include <algorithm>
#include <charconv>

namespace ringtap::protocol::http {

namespace {

constexpr size_t kLongestKept = 2048;
constexpr size_t kLongestUrl = 8192;
constexpr size_t kLongestMethod = 64;

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool ends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && is_same_word(text.substr(text.size() - end.size()), end);
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlank = " \t\r";
  const size_t from = text.find_first_not_of(kBlank);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kBlank) - from + 1);
}

std::string_view next_line(std::string_view& text) noexcept {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

}  // namespace

bool is_same_word(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_simple_request(std::string_view line) noexcept {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line.substr(0, 5) == "GET /" &&
         std::all_of(line.begin() + 4, line.end(), [](char c) { return static_cast<unsigned char>(c) > ' '; });
}

size_t end_of_head(std::string_view text, size_t from) noexcept {
  for (size_t at = text.find('\n', from); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    if (at + 1 < text.size() && text[at + 1] == '\n') return at + 2;
    if (at + 2 < text.size() && text[at + 1] == '\r' && text[at + 2] == '\n') return at + 3;
  }
  return std::string_view::npos;
}

bool Head::read(std::string_view text, bool is_response) {
  const std::string_view line = next_line(text);
  if (!(is_response ? read_status_line(line) : read_request_line(line))) return false;
  while (!text.empty()) {
    const std::string_view field = next_line(text);
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos) continue;
    read_field(trimmed(field.substr(0, colon)), trimmed(field.substr(colon + 1)));
  }
  return true;
}

bool Head::read_request_line(std::string_view line) {
  if (is_simple_request(line)) {
    method = line.substr(0, 3);
    url = line.substr(4, kLongestUrl);
    protocol = kSimple;
    return true;
  }
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first) return false;
  const std::string_view version = line.substr(last + 1);
  if (version.substr(0, 7) != "HTTP/1.") return false;
  method = line.substr(0, std::min(first, kLongestMethod));
  url = line.substr(first + 1, std::min(last - first - 1, kLongestUrl));
  protocol = version.substr(0, 16);
  // A proxy is asked with the whole address.
  if (const size_t scheme = url.find("://"); scheme != std::string::npos && scheme < 8) {
    const std::string_view rest = std::string_view(url).substr(scheme + 3);
    set_host(rest.substr(0, rest.find_first_of("/?#")));
  } else if (method == "CONNECT") {
    set_host(url);
  }
  return true;
}

bool Head::read_status_line(std::string_view line) {
  if (line.substr(0, 7) != "HTTP/1." || line.size() < 12) return false;
  protocol = line.substr(0, 8);
  return read_status(line.substr(9, 3));
}

/// @param digits three
bool Head::read_status(std::string_view digits) {
  return std::from_chars(digits.data(), digits.data() + 3, status).ptr == digits.data() + 3 && status >= 100;
}

void Head::read_field2(std::string_view name, std::string_view value) {
  if (name == ":method") {
    method = value.substr(0, kLongestMethod);
  } else if (name == ":path") {
    url = value.substr(0, kLongestUrl);
  } else if (name == ":authority") {
    set_host(value);
  } else if (name == ":status") {
    if (value.size() != 3 || !read_status(value)) status = 0;
  } else {
    read_field(name, value);
  }
}

void Head::set_host(std::string_view given) {
  given = given.substr(0, 512);
  const size_t at = given.rfind('@');
  if (at != std::string_view::npos) given.remove_prefix(at + 1);
  const size_t colon = given.rfind(':');
  // A colon within brackets is of an IPv6 address.
  if (colon != std::string_view::npos && given.find(']', colon) == std::string_view::npos) {
    const std::string_view digits = given.substr(colon + 1);
    uint16_t number = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc{}) port = number;
    given = given.substr(0, colon);
  }
  host = given;
}

void Head::read_field(std::string_view name, std::string_view value) {
  struct Kept {
    std::string_view name;
    std::string Head::*where;
  };
  constexpr Kept kKept[] = {{"user-agent", &Head::user_agent},
                            {"referer", &Head::referer},
                            {"x-forwarded-for", &Head::forwarded_for},
                            {"content-type", &Head::content_type},
                            {"location", &Head::location},
                            {"content-encoding", &Head::content_encoding},
                            {"server", &Head::server},
                            {"upgrade", &Head::upgrade}};
  if (is_same_word(name, "host")) {
    if (host.empty()) set_host(value);
    return;
  }
  if (is_same_word(name, "content-length")) {
    uint64_t length = 0;
    const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    const bool is_number = error == std::errc{} && at == value.data() + value.size() && length >> 62 == 0;
    // Whoever reads it otherwise is told something else.
    if (!is_number || (has_length && length != content_length)) {
      is_ambiguous = true;
      return;
    }
    has_length = true;
    content_length = length;
    return;
  }
  if (is_same_word(name, "transfer-encoding")) {
    is_chunked = ends_with(value, "chunked");
    return;
  }
  for (const Kept& each : kKept) {
    if (is_same_word(name, each.name) && (this->*each.where).empty()) this->*each.where = value.substr(0, kLongestKept);
  }
}

size_t Head::memory() const noexcept {
  size_t bytes = 0;
  for (const std::string* each : {&method, &url, &protocol, &host, &user_agent, &referer, &forwarded_for, &content_type,
                                  &content_encoding, &location, &server, &upgrade}) {
    bytes += each->capacity();
  }
  return bytes;
}

}  // namespace ringtap::protocol::http
