#include "protocol/http/http1.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <memory>
#include <string>

#include "protocol/http/exchange.h"

namespace ringtap::protocol::http {

namespace {

constexpr size_t kLongestHead = 64 << 10;
constexpr size_t kLongestChunkLine = 1024;
/// Requests that wait for their responses with all that is told of them; beyond, an exchange is counted as withheld.
constexpr size_t kMostWaiting = 128;
/// With those of which only the place is kept; beyond, responses cannot be told apart.
constexpr size_t kMostPlaces = 16384;
constexpr size_t kMostEmptyLines = 64;

/// Where an exchange stands among the others.
struct Place {
  std::unique_ptr<Exchange> exchange;  // null: there were too many of them, it is not told
  bool is_head = false;
  bool is_connect = false;
  bool is_answered = false;
};

class Conversing final : public Http1 {
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
        if (side == Side::kClient) {
          // What the server says is told all the same.
          ways_[0].state = State::kDeaf;
          return {.consumed = bytes.size(), .has_lost = true};
        }
        ended(out);
        return Progress::lost();
      }
      if (progress.consumed == before && progress.skip == 0) return progress;
      if (progress.skip > 0) {
        // Of a body, what is here already is passed over at once.
        const auto there = static_cast<size_t>(std::min<uint64_t>(progress.skip, bytes.size() - progress.consumed));
        progress.consumed += there;
        progress.skip -= there;
        passed(side, there);
        if (progress.skip > 0) return progress;
      }
    }
  }

  bool gap(Side side, uint64_t bytes) override {
    Way& way = ways_[index_of(side)];
    if (way.state != State::kUntilClose) return false;
    count(side, bytes);
    return true;
  }

  void passed(Side side, uint64_t bytes) override {
    uint64_t& left = ways_[index_of(side)].body_left;
    const uint64_t of_body = std::min(left, bytes);
    left -= of_body;
    count(side, of_body);
  }

  void closed(Side side, Output& out) override {
    if (side == Side::kServer && ways_[1].state == State::kUntilClose) complete(out);
  }

  void ended(Output& out) override {
    while (!places_.empty()) tell(out, places_.front().is_answered);
  }

  std::unique_ptr<Exchange> upgraded() override { return std::move(upgraded_); }

  size_t memory() const noexcept override {
    size_t bytes = places_.size() * sizeof(Place);
    for (const Place& each : places_) bytes += each.exchange != nullptr ? each.exchange->memory() : 0;
    return bytes;
  }

 private:
  enum class State : uint8_t { kHead, kLastByte, kChunkLine, kTrailer, kUntilClose, kTunnel, kDeaf };
  struct Way {
    State state = State::kHead;
    size_t scanned = 0;      // of the head
    uint64_t body_left = 0;  // of what is skipped
  };

  /// One part of a message. False: it is none, or there is nothing more.
  bool step(Side side, Span left, Progress& progress, Output& out) {
    Way& way = ways_[index_of(side)];
    switch (way.state) {
      case State::kHead:
        return head(side, way, left, progress, out);
      case State::kLastByte:
        progress.consumed++;
        count(side, 1);
        way.state = State::kHead;
        if (side == Side::kServer) complete(out);
        return true;
      case State::kChunkLine:
        return chunk(way, left, progress);
      case State::kTrailer:
        return trailer(side, way, left, progress, out);
      case State::kUntilClose:
        count(side, left.size());
        progress.consumed += left.size();
        return true;
      case State::kDeaf:
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
    if (side == Side::kServer && is_simple()) {
      // What a server makes of a simple request may be a response of today all the same.
      constexpr std::string_view kToday = "HTTP/1.";
      if (text.size() < kToday.size() && kToday.substr(0, text.size()) == text) {
        progress.need = kToday.size();
        return true;
      }
      if (text.substr(0, kToday.size()) != kToday) {
        answer_simply(way, out);
        return step(side, left, progress, out);
      }
    }
    // What cannot become a head is not waited for.
    if (way.scanned == 0 && match_http1(left) == Match::kNo) return false;
    size_t end = end_of_head(text, way.scanned > 3 ? way.scanned - 3 : 0);
    if (side == Side::kClient && way.scanned < text.size()) {
      const size_t line = text.find('\n', way.scanned);  // of one before, nothing is left to find
      if (line != std::string_view::npos && is_simple_request(text.substr(0, line))) end = line + 1;
    }
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
    if (places_.size() >= kMostPlaces) {
      out.withhold();
      return false;
    }
    Place& place = places_.emplace_back();
    place.is_head = found.method == "HEAD";
    place.is_connect = found.method == "CONNECT";
    if (place.is_connect) {
      way.state = State::kTunnel;
    } else if (found.is_simple()) {
      way.state = State::kDeaf;  // it is the only one
    } else {
      body(found.is_chunked, found.content_length, way, progress);
    }
    const bool is_clear = !found.is_ambiguous;
    if (whole_ < kMostWaiting) {
      whole_++;
      place.exchange = std::make_unique<Exchange>();
      place.exchange->has_request = true;
      place.exchange->asked_at = out.now();
      place.exchange->request = std::move(found);
    }
    return is_clear;
  }

  bool answered(Head found, Way& way, Progress& progress, Output& out) {
    // "Go on" and the like come before the response.
    if (found.status >= 100 && found.status < 200 && found.status != 101) return true;
    if (places_.empty() || places_.front().is_answered) {
      places_.emplace_front().exchange = std::make_unique<Exchange>();
      whole_++;
    }
    Place& place = places_.front();
    place.is_answered = true;
    const bool is_tunnel = place.is_connect && found.status >= 200 && found.status < 300;
    const bool has_body = !place.is_head && found.status != 204 && found.status != 304;
    const bool is_chunked = found.is_chunked;
    const bool has_length = found.has_length;
    const uint64_t length = found.content_length;
    const bool is_upgrade = found.status == 101;
    const bool is_clear = !found.is_ambiguous;
    if (place.is_connect && !is_tunnel && ways_[0].state == State::kTunnel) ways_[0].state = State::kHead;
    if (place.exchange != nullptr) {
      place.exchange->has_response = true;
      place.exchange->answered_at = out.now();
      place.exchange->response = std::move(found);
    }
    if (is_tunnel || is_upgrade) {
      if (is_upgrade && place.exchange != nullptr && is_same_word(place.exchange->response.upgrade, "h2c")) {
        upgraded_ = std::make_unique<Exchange>(*place.exchange);
      }
      complete(out);
      progress.begins_anew = true;
      return false;
    }
    if (!is_clear) return false;
    if (!has_body) {
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

  /// Of HTTP 0.9 a response is what comes until the connection ends.
  bool is_simple() const noexcept {
    return !places_.empty() && !places_.front().is_answered && places_.front().exchange != nullptr &&
           places_.front().exchange->request.is_simple();
  }
  void answer_simply(Way& way, Output& out) {
    places_.front().is_answered = true;
    places_.front().exchange->has_response = true;
    places_.front().exchange->answered_at = out.now();
    way.state = State::kUntilClose;
  }

  /// WHY all but the last byte: when that comes the message is complete, and is told then.
  static void body(bool is_chunked, uint64_t length, Way& way, Progress& progress) {
    if (is_chunked) {
      way.state = State::kChunkLine;
    } else if (length > 0) {
      way.state = State::kLastByte;
      progress.skip = length - 1;
      way.body_left = progress.skip;
    }
  }

  static bool chunk(Way& way, Span left, Progress& progress) {
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
    way.body_left = size;
    progress.skip = size + 2;
    return true;
  }

  void count(Side side, uint64_t size) {
    if (places_.empty()) return;
    Exchange* of = (side == Side::kServer ? places_.front() : places_.back()).exchange.get();
    if (of == nullptr) return;
    if (side == Side::kServer && of->has_response) of->length += size;
    if (side == Side::kClient && of->has_request) of->request_length += size;
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
    if (!places_.empty() && places_.front().is_answered) tell(out, false);
  }

  void tell(Output& out, bool is_incomplete) {
    const std::unique_ptr<Exchange> told = std::move(places_.front().exchange);
    places_.pop_front();
    if (told == nullptr) return out.withhold();
    whole_--;
    http::tell(*told, is_incomplete, nullptr, out);
  }

  std::unique_ptr<Exchange> upgraded_;
  std::array<Way, 2> ways_;
  std::deque<Place> places_;  // the one that is answered next first
  size_t whole_ = 0;          // of them
};

}  // namespace

Match match_http1(Span bytes) {
  std::string_view text = text_of(bytes);
  // RFC 9112 §2.2: empty lines may come before a request.
  size_t empty = 0;
  while (empty < text.size() && empty < 2 * kMostEmptyLines && (text[empty] == '\r' || text[empty] == '\n')) empty++;
  text.remove_prefix(empty);
  if (text.empty()) return Match::kMore;
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
    const std::string_view line = text.substr(0, end);
    return line.find(" HTTP/1.") != std::string_view::npos || is_simple_request(line) ? Match::kYes : Match::kNo;
  }
  return Match::kNo;
}

std::unique_ptr<Http1> open_http1() { return std::make_unique<Conversing>(); }

}  // namespace ringtap::protocol::http
