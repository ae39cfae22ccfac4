#include "protocol/http/http.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <string>

#include "protocol/http/head.h"

namespace ringtap::protocol::http {

#include "generated/http_fields.inc"

namespace {

constexpr size_t kLongestHead = 64 << 10;
constexpr size_t kLongestChunkLine = 1024;
/// Requests that wait for their responses; beyond, the oldest one is told without.
constexpr size_t kMostWaiting = 32;

Match match(Span bytes, const Meeting&) {
  const std::string_view text = text_of(bytes);
  constexpr std::string_view kResponse = "HTTP/1.";
  const auto begins = [&](std::string_view with) { return text.substr(0, with.size()) == with.substr(0, text.size()); };
  if (begins(kResponse)) return text.size() >= kResponse.size() ? Match::kYes : Match::kMore;
  for (const std::string_view method : kMethods) {
    if (!begins(method)) continue;
    if (text.size() <= method.size()) return Match::kMore;
    if (text[method.size()] != ' ') continue;
    // To its end, where that is there: other protocols have a GET, too.
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return text.size() < 64 ? Match::kMore : Match::kYes;
    return text.substr(0, end).find(" HTTP/1.") != std::string_view::npos ? Match::kYes : Match::kNo;
  }
  return Match::kNo;
}

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

class Conversing final : public Conversation {
 public:
  Progress take(Side side, Span bytes, bool, Output& out) override {
    Progress progress;
    for (;;) {
      const Span left = bytes.subspan(progress.consumed);
      progress.need = 1;
      progress.skip = 0;
      if (left.empty()) return progress;
      const size_t before = progress.consumed;
      if (!step(side, left, progress, out)) {
        if (progress.begins_anew) return progress;
        ended(out);
        return Progress::done();
      }
      if (progress.consumed == before && progress.skip == 0) return progress;
      if (progress.skip > 0) {
        // Of a body, what is here already is passed over at once.
        const auto there = static_cast<size_t>(std::min<uint64_t>(progress.skip, bytes.size() - progress.consumed));
        progress.consumed += there;
        progress.skip -= there;
        if (progress.skip > 0) return progress;
      }
    }
  }

  bool gap(Side side, uint64_t bytes) override {
    Way& way = ways_[index_of(side)];
    if (way.state != State::kUntilClose) return false;
    if (!exchanges_.empty()) exchanges_.front().length += bytes;
    return true;
  }

  void closed(Side side, Output& out) override {
    if (side == Side::kServer && ways_[1].state == State::kUntilClose) complete(out);
  }

  void ended(Output& out) override {
    while (!exchanges_.empty()) tell(out, exchanges_.front().has_response);
  }

  size_t memory() const noexcept override {
    size_t bytes = 0;
    for (const Exchange& each : exchanges_) bytes += each.memory();
    return bytes;
  }

 private:
  enum class State : uint8_t { kHead, kLastByte, kChunkLine, kTrailer, kUntilClose, kTunnel };
  struct Way {
    State state = State::kHead;
    size_t scanned = 0;  // of the head
  };

  /// One part of a message. False: it is none, or there is nothing more.
  bool step(Side side, Span left, Progress& progress, Output& out) {
    Way& way = ways_[index_of(side)];
    switch (way.state) {
      case State::kHead:
        return head(side, way, left, progress, out);
      case State::kLastByte:
        progress.consumed++;
        way.state = State::kHead;
        if (side == Side::kServer) complete(out);
        return true;
      case State::kChunkLine:
        return chunk(side, way, left, progress);
      case State::kTrailer:
        return trailer(side, way, left, progress, out);
      case State::kUntilClose:
        if (!exchanges_.empty()) exchanges_.front().length += left.size();
        progress.consumed += left.size();
        return true;
      case State::kTunnel:
        // Waits for what the server says to it.
        progress.need = left.size() + 1;
        return left.size() < kLongestHead;
    }
    return false;
  }

  bool head(Side side, Way& way, Span left, Progress& progress, Output& out) {
    const std::string_view text = text_of(left);
    // Line ends before a request line are allowed.
    if (way.scanned == 0 && (text[0] == '\r' || text[0] == '\n')) {
      progress.consumed++;
      return true;
    }
    // What cannot become a head is not waited for.
    if (way.scanned == 0 && match(left, {}) == Match::kNo) return false;
    const size_t end = end_of_head(text, way.scanned > 3 ? way.scanned - 3 : 0);
    if (end == std::string_view::npos) {
      way.scanned = text.size();
      progress.need = text.size() + 1;
      return text.size() < kLongestHead;
    }
    way.scanned = 0;
    progress.consumed += end;
    Head found;
    if (end > kLongestHead || !found.read(text.substr(0, end), side == Side::kServer)) return false;
    return side == Side::kClient ? asked(std::move(found), way, progress, out)
                                 : answered(std::move(found), way, progress, out);
  }

  bool asked(Head found, Way& way, Progress& progress, Output& out) {
    if (exchanges_.size() >= kMostWaiting) tell(out, exchanges_.front().has_response);
    Exchange& exchange = exchanges_.emplace_back();
    exchange.has_request = true;
    exchange.asked_at = out.now();
    const bool is_connect = found.method == "CONNECT";
    exchange.request_length = found.is_chunked ? 0 : found.content_length;
    if (is_connect) {
      way.state = State::kTunnel;
    } else {
      body(found.is_chunked, found.content_length, way, progress);
    }
    const bool is_clear = !found.is_ambiguous;
    exchange.request = std::move(found);
    return is_clear;
  }

  bool answered(Head found, Way& way, Progress& progress, Output& out) {
    const bool is_known = !exchanges_.empty() && !exchanges_.front().has_response;
    if (!is_known) exchanges_.emplace_front();
    // "Go on" and the like come before the response.
    if (found.status >= 100 && found.status < 200 && found.status != 101) {
      if (!is_known) exchanges_.pop_front();
      return true;
    }
    Exchange& exchange = exchanges_.front();
    exchange.has_response = true;
    exchange.answered_at = out.now();
    const bool is_tunnel = exchange.request.method == "CONNECT" && found.status >= 200 && found.status < 300;
    const bool has_body = exchange.request.method != "HEAD" && found.status != 204 && found.status != 304;
    exchange.length = found.is_chunked ? 0 : found.content_length;
    const bool is_chunked = found.is_chunked;
    const bool has_length = found.has_length;
    const uint64_t length = found.content_length;
    const bool is_upgrade = found.status == 101;
    const bool is_clear = !found.is_ambiguous;
    exchange.response = std::move(found);
    if (is_tunnel || is_upgrade) {
      exchange.length = 0;
      complete(out);
      progress.begins_anew = true;
      return false;
    }
    if (!is_clear) return false;
    if (exchange.request.method == "CONNECT") ways_[0].state = State::kHead;
    if (!has_body) {
      exchange.length = 0;
      complete(out);
    } else if (is_chunked) {
      way.state = State::kChunkLine;
    } else if (!has_length) {
      way.state = State::kUntilClose;
    } else if (length == 0) {
      complete(out);
    } else {
      body(false, length, way, progress);
    }
    return true;
  }

  /// WHY all but the last byte: when that comes the message is complete, and is told then.
  static void body(bool is_chunked, uint64_t length, Way& way, Progress& progress) {
    if (is_chunked) {
      way.state = State::kChunkLine;
    } else if (length > 0) {
      way.state = State::kLastByte;
      progress.skip = length - 1;
    }
  }

  bool chunk(Side side, Way& way, Span left, Progress& progress) {
    const std::string_view text = text_of(left);
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      progress.need = text.size() + 1;
      return text.size() < kLongestChunkLine;
    }
    uint64_t size = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + end, size, 16);
    if (error != std::errc{} || at == text.data() || size > uint64_t{1} << 62) return false;
    progress.consumed += end + 1;
    if (size == 0) {
      way.state = State::kTrailer;
      return true;
    }
    count(side, size);
    progress.skip = size + 2;
    return true;
  }

  void count(Side side, uint64_t size) {
    if (exchanges_.empty()) return;
    if (side == Side::kServer) exchanges_.front().length += size;
    if (side == Side::kClient) exchanges_.back().request_length += size;
  }

  /// Lines up to an empty one.
  bool trailer(Side side, Way& way, Span left, Progress& progress, Output& out) {
    const std::string_view text = text_of(left);
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      progress.need = text.size() + 1;
      return text.size() < kLongestHead;
    }
    progress.consumed += end + 1;
    if (end > 1 || (end == 1 && text[0] != '\r')) return true;
    way.state = State::kHead;
    if (side == Side::kServer) complete(out);
    return true;
  }

  void complete(Output& out) {
    ways_[1].state = State::kHead;
    if (!exchanges_.empty() && exchanges_.front().has_response) tell(out, false);
  }

  void tell(Output& out, bool is_incomplete) {
    const Exchange exchange = std::move(exchanges_.front());
    exchanges_.pop_front();
    Event event = out.event(kProtocol.name);
    if (!event) return;
    const Head& request = exchange.request;
    const Head& response = exchange.response;
    const auto text = [&](TextKey key, const std::string& value) {
      if (!value.empty()) event->put(key, value);
    };
    if (exchange.has_request) {
      text(kHostname, request.host);
      if (request.port != 0) event->put(kHttpPort, request.port);
      event->put(kUrl, request.url);
      text(kHttpUserAgent, request.user_agent);
      text(kXff, request.forwarded_for);
    }
    text(kHttpContentType, response.content_type);
    text(kHttpRefer, request.referer);
    if (exchange.has_request) event->put(kHttpMethod, request.method);
    text(kProtocolKey, exchange.has_request ? request.protocol : response.protocol);
    if (exchange.has_response) {
      event->put(kStatus, response.status);
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
    if (is_incomplete) event->put(kIncomplete, true);
  }

  std::array<Way, 2> ways_;
  std::deque<Exchange> exchanges_;  // the one that is answered next first
};

std::unique_ptr<Conversation> open(const Meeting&) { return std::make_unique<Conversing>(); }

}  // namespace

const Protocol kProtocol = {.name = "http", .match = match, .open = open, .on_tcp = true};

}  // namespace ringtap::protocol::http
