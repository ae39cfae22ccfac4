#include <doctest/doctest.h>

#include "protocol/digest.h"
#include "protocol/http/frame.h"
#include "protocol/http/hpack.h"
#include "protocol/http/http.h"
#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 8080, .is_tcp = true};
const std::string kBegin = "'PRI * HTTP/2.0'0d0a0d0a'SM'0d0a0d0a";

std::string number(uint64_t value, int bytes) {
  std::vector<std::byte> out;
  for (int i = bytes - 1; i >= 0; i--) out.push_back(static_cast<std::byte>(value >> (8 * i)));
  return hex_of(out);
}

/// A frame as bytes_of() takes it.
std::string frame(int type, int flags, uint32_t stream, const std::string& payload) {
  return number(bytes_of(payload).size(), 3) + number(type, 1) + number(flags, 1) + number(stream, 4) + payload;
}

const std::string kEmptySettings = frame(4, 0, 0, "");
const std::string kAck = frame(4, 1, 0, "");
// RFC 7541, C.3 and C.5: the second ones build upon the first ones.
const std::string kRequest = "828684410f'www.example.com'";
const std::string kSecond = "828684be5808'no-cache'";
const std::string kResponse = "4803'302'5807'private'611d'Mon, 21 Oct 2013 20:13:21 GMT'6e17'https://www.example.com'";
const std::string kSecondResponse = "4803'307'c1c0bf";

struct Said {
  Side side;
  std::string text;
};

void say(Talking& talking, const std::vector<Said>& all, size_t piece = 1 << 20) {
  for (const Said& each : all) {
    const auto bytes = bytes_of(each.text);
    for (size_t at = 0; at < bytes.size(); at += piece) {
      talking.say(each.side, Span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
  }
}

std::vector<std::string> told(const std::vector<Said>& all, size_t piece = 1 << 20) {
  Talking talking(http::kProtocol, kMeeting);
  say(talking, all, piece);
  talking.end();
  return talking.told.lines();
}

bool has(const std::string& line, std::string_view text) { return line.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("HTTP 2: requests of several streams with their responses, in any pieces") {
  REQUIRE(http::why_no_hpack().empty());
  const std::string body = "'0123456789'";
  // Padding, a priority, a block in three frames, and what belongs to nobody in between.
  const std::string padded = kBegin + kEmptySettings + frame(1, 0x2c, 1, "03 80000000 10" + kRequest + "000000") +
                             frame(0, 9, 1, "02" + body + "0000");
  for (const size_t piece : {1u, 3u, 7u, 1u << 20}) {
    const auto lines = told(
        {{Side::kClient, padded + frame(8, 0, 0, "00001000") + frame(1, 5, 3, kSecond)},
         {Side::kServer, kEmptySettings + kAck + frame(1, 4, 1, kResponse) + frame(0, 0, 1, body) +
                             frame(1, 4, 3, kSecondResponse) + frame(6, 0, 0, "0000000000000000") +
                             frame(0, 8, 3, "05" + body + "0000000000") + frame(0, 1, 3, "") + frame(0, 1, 1, "'a'")}},
        piece);
    REQUIRE(lines.size() == 2);
    CHECK(lines[0] ==
          R"(http {"hostname":"www.example.com","url":"/","http_method":"GET","protocol":"HTTP/2","version":"2",)"
          R"("status":307,"redirect":"https://www.example.com","length":10,"latency_us":0,"http2":{"stream_id":3}})");
    CHECK(lines[1] ==
          R"(http {"hostname":"www.example.com","url":"/","http_method":"GET","protocol":"HTTP/2","version":"2",)"
          R"("status":302,"redirect":"https://www.example.com","length":11,"request_length":10,"latency_us":0,)"
          R"("http2":{"stream_id":1}})");
  }
}

TEST_CASE("HTTP 2: a block that goes on in further frames is one") {
  for (const size_t piece : {1u, 1u << 20}) {
    const auto lines = told({{Side::kClient, kBegin + frame(1, 1, 1, "8286") + frame(9, 0, 1, "") +
                                                 frame(9, 0, 1, "84410f'www.exam'") + frame(9, 4, 1, "'ple.com'")}},
                            piece);
    REQUIRE(lines.size() == 1);
    CHECK(has(lines[0], R"("hostname":"www.example.com","url":"/")"));
    CHECK(!has(lines[0], "status"));
  }
}

TEST_CASE("HTTP 2: what a reset ends is told with why, and a promise is a request") {
  const auto lines = told({{Side::kClient, kBegin + frame(1, 5, 1, kRequest)},
                           {Side::kServer, kEmptySettings + kAck + frame(5, 4, 1, "00000002" + kRequest) +
                                               frame(1, 4, 2, "88") + frame(0, 0, 2, "'abc'")},
                           {Side::kClient, frame(3, 0, 1, "00000008")},
                           {Side::kServer, frame(3, 0, 2, "00000002")}});
  REQUIRE(lines.size() == 2);
  CHECK(has(lines[0], R"("http2":{"stream_id":1,"request":{"error_code":"CANCEL"}}})"));
  CHECK(has(lines[1], R"("url":"/","http_method":"GET")"));
  CHECK(has(lines[1], R"("status":200,"length":3)"));
  CHECK(has(lines[1], R"("http2":{"stream_id":2,"response":{"error_code":"INTERNAL_ERROR"}},"incomplete":true)"));
}

TEST_CASE("HTTP 2: interim responses and trailers are no responses") {
  const auto lines = told(
      {{Side::kClient, kBegin + frame(1, 4, 1, kRequest) + frame(0, 0, 1, "'xyz'") + frame(1, 5, 1, "0001'a'01'b'")},
       {Side::kServer, kEmptySettings + kAck + frame(1, 4, 1, "0803'103'") + frame(1, 4, 1, "88") +
                           frame(0, 0, 1, "'abcd'") + frame(1, 5, 1, "0001'a'01'b'")}});
  REQUIRE(lines.size() == 1);
  CHECK(has(lines[0], R"("status":200,"length":4,"request_length":3)"));
}

TEST_CASE("HTTP 2: an upgrade goes on with the request that asked for it") {
  for (const size_t piece : {1u, 1u << 20}) {
    Talking talking(http::kProtocol, kMeeting);
    const std::string get = "'GET /up HTTP/1.1'0d0a'Host: h.test'0d0a'Upgrade: h2c'0d0a0d0a";
    const std::string yes = "'HTTP/1.1 101 Switching Protocols'0d0a'Upgrade: h2c'0d0a0d0a";
    say(talking,
        {{Side::kClient, get},
         {Side::kServer, yes + frame(4, 0, 0, "000300000064") + frame(1, 4, 1, "88") + frame(0, 1, 1, "'hello'")},
         {Side::kClient, kBegin + kEmptySettings + frame(1, 5, 3, kRequest)},
         {Side::kServer, frame(1, 5, 3, "88")}},
        piece);
    talking.end();
    CHECK(!talking.has_lost);
    const auto& lines = talking.told.lines();
    REQUIRE(lines.size() == 3);
    CHECK(has(lines[0], R"("status":101)"));
    CHECK(has(lines[0], R"("upgrade":"h2c")"));
    CHECK(has(lines[1], R"("hostname":"h.test","url":"/up")"));
    CHECK(has(lines[1], R"("protocol":"HTTP/2","version":"2","status":200,"length":5)"));
    CHECK(has(lines[1], R"("http2":{"stream_id":1})"));
    CHECK(has(lines[2], R"("hostname":"www.example.com","url":"/")"));
    CHECK(has(lines[2], R"("http2":{"stream_id":3})"));
  }
}

TEST_CASE("HTTP 2: it begins with the preface or a server's first frame, and nowhere else") {
  const auto match = [](std::string_view text) { return http::kProtocol.match(bytes_of(text), kMeeting); };
  CHECK(match(kBegin) == Match::kYes);
  CHECK(match("'PRI * HTTP/2.0'0d0a0d0a'SM'0d0a") == Match::kMore);
  CHECK(match("'PRI * HTTP/2.0'0d0a0d0a'XX'0d0a0d0a") == Match::kNo);
  CHECK(match(frame(4, 0, 0, "000300000064")) == Match::kYes);
  CHECK(match(kEmptySettings) == Match::kMore);
  CHECK(match(kEmptySettings + kAck) == Match::kYes);
  CHECK(match(kEmptySettings + "ffffffffffffffffff") == Match::kNo);
  CHECK(match(frame(4, 0, 0, "77770000006400")) == Match::kNo);
  CHECK(match(frame(4, 0, 0, "777700000064")) == Match::kNo);
  CHECK(match(frame(1, 5, 3, kRequest)) == Match::kNo);
  CHECK(match(frame(0, 0, 3, "'abc'")) == Match::kNo);
  // Of a capture that began in between the first packet may be the server's: content tells which end is which.
  const auto turned = told({{Side::kServer, kBegin + frame(1, 5, 1, kRequest)},
                            {Side::kClient, kEmptySettings + kAck + frame(1, 5, 1, "88")}});
  REQUIRE(turned.size() == 1);
  CHECK(has(turned[0], R"("http_method":"GET")"));
  CHECK(has(turned[0], R"("status":200)"));
}

TEST_CASE("HTTP 2: of one direction alone is told what it has") {
  const auto lines =
      told({{Side::kServer, kEmptySettings + kAck + frame(1, 4, 1, kResponse) + frame(0, 1, 1, "'ab'")}});
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == R"(http {"protocol":"HTTP/2","version":"2","status":302,"redirect":"https://www.example.com",)"
                    R"("length":2,"http2":{"stream_id":1}})");
}

TEST_CASE("HTTP 2: what is no frame, or no header field, ends it, and what is known is told") {
  const std::string good = kBegin + frame(1, 5, 1, kRequest);
  for (const std::string& bad : {
           frame(9, 4, 1, "82"),                          // goes on from nothing
           frame(1, 0, 3, "82") + frame(9, 4, 5, "84"),   // … of another stream
           frame(1, 0, 3, "82") + frame(0, 0, 3, "'a'"),  // … and what should go on does not
           frame(1, 0x0c, 3, "ff82"),                     // more padding than there is
           frame(0, 8, 3, "05'abc'"),                     //
           frame(0, 8, 3, ""),                            //
           frame(1, 0x24, 3, "0000"),                     // a priority that is cut
           frame(1, 4, 3, "c5"),                          // a field that nobody has said
           frame(1, 4, 3, "80"),                          //
           frame(1, 4, 3, "4105'ab'"),                    // a value that is cut
           frame(1, 4, 3, "3fe1ffff7f82"),                // a table of 256 MiB
           frame(1, 4, 0, "82"),                          // no stream
           frame(3, 0, 1, "0000"),                        // no code
           std::string("ffffff 01 04 00000003"),          // too long
       }) {
    for (const size_t piece : {1u, 1u << 20}) {
      Talking talking(http::kProtocol, kMeeting);
      say(talking, {{Side::kClient, good + bad}}, piece);
      CHECK_MESSAGE(talking.has_lost, bad);
      REQUIRE(!talking.told.lines().empty());
      CHECK(has(talking.told.lines()[0], R"("url":"/")"));
    }
  }
}

TEST_CASE("HTTP 2: a gap in a body is counted as part of it, one in fields ends it") {
  Talking talking(http::kProtocol, kMeeting);
  say(talking, {{Side::kClient, kBegin + frame(1, 5, 1, kRequest)},
                {Side::kServer, kEmptySettings + kAck + frame(1, 4, 1, "88") + "0003e8 00 00 00000001 'ab'"}});
  talking.lose(Side::kServer, 0);  // what waits of it
  CHECK(!talking.lose(Side::kClient, 10));
  talking.end();
  REQUIRE(talking.told.lines().size() == 1);
  CHECK(has(talking.told.lines()[0], R"("length":2)"));
  CHECK(has(talking.told.lines()[0], R"("incomplete":true)"));
}

TEST_CASE("HTTP 2: streams beyond those that are kept are counted as withheld") {
  Talking talking(http::kProtocol, kMeeting);
  std::string requests = kBegin + frame(1, 5, 1, kRequest);
  std::string responses = kEmptySettings + kAck + frame(1, 5, 1, "88");
  for (uint32_t i = 1; i < 1000; i++) {
    requests += frame(1, 5, 1 + 2 * i, "828684be");
    responses += frame(1, 5, 1 + 2 * i, "88");
  }
  say(talking, {{Side::kClient, requests}, {Side::kServer, responses}});
  say(talking, {{Side::kClient, frame(1, 5, 3001, "828684be")}, {Side::kServer, frame(1, 5, 3001, "88")}});
  talking.end();
  CHECK(talking.told.lines().size() == 257);
  CHECK(talking.told.withheld == 1000 - 256);
  CHECK(has(talking.told.lines().back(), R"("stream_id":3001)"));
}
