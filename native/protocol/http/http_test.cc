#include "protocol/http/http.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 8080, .is_tcp = true};

struct Said {
  Side side;
  std::string text;
};

std::vector<std::string> told(const std::vector<Said>& all, size_t piece = 1 << 20) {
  Talking talking(http::kProtocol, kMeeting);
  for (const Said& each : all) {
    for (size_t at = 0; at < each.text.size(); at += piece) {
      talking.say(each.side, span_of(std::string_view(each.text).substr(at, piece)));
    }
  }
  talking.end();
  return talking.told.lines();
}

bool has(const std::string& line, std::string_view text) { return line.find(text) != std::string::npos; }

const std::string kGet = "GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: curl/8 \"x\"\r\n\r\n";

}  // namespace

TEST_CASE("a request and its response are one event, as EVE has it, in any pieces") {
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello";
  for (const size_t piece : {1u, 3u, 1u << 20}) {
    const auto lines = told({{Side::kClient, kGet}, {Side::kServer, ok}}, piece);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0] ==
          R"(http {"hostname":"example.com","http_port":8080,"url":"/a?b=c","http_user_agent":"curl/8 \"x\"",)"
          R"("http_content_type":"text/html","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":5,)"
          R"("latency_us":0})");
  }
}

TEST_CASE("requests may go before their responses, which come in order") {
  const auto lines = told({{Side::kClient, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nHEAD /3 HTTP/1.1\r\n\r\n"},
                           {Side::kServer,
                            "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno"
                            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "5;x=y\r\nabcde\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
                            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"}},
                          7);
  REQUIRE(lines.size() == 3);
  CHECK(has(lines[0], R"("url":"/1")"));
  CHECK(has(lines[0], R"("status":404,"length":2)"));
  CHECK(has(lines[1], R"("url":"/2")"));
  CHECK(has(lines[1], R"("status":200,"length":15)"));
  CHECK(has(lines[2], R"("status":200,"length":0)"));
}

TEST_CASE("a body that ends with the connection is counted, one that ends early says so") {
  const auto lines = told({{Side::kClient, kGet}, {Side::kServer, "HTTP/1.0 200 OK\r\n\r\n0123456789"}}, 4);
  CHECK(has(lines[0], R"("length":10)"));
  const auto early = told({{Side::kClient, kGet}, {Side::kServer, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc"}});
  CHECK(has(early[0], R"("incomplete":true)"));
}

TEST_CASE("a request without a response is told at the end, and a response without a request at once") {
  const auto lines = told({{Side::kClient, kGet}});
  REQUIRE(lines.size() == 1);
  CHECK(!has(lines[0], "status"));
  const auto others = told({{Side::kServer, "HTTP/1.1 304 Not Modified\r\nServer: x\r\n\r\n"}});
  REQUIRE(others.size() == 1);
  CHECK(others[0] == R"(http {"protocol":"HTTP/1.1","status":304,"server":"x","length":0})");
}

TEST_CASE("after CONNECT and after an upgrade it is another protocol's") {
  Talking talking(http::kProtocol, kMeeting);
  talking.say(Side::kClient, span_of("CONNECT h.test:443 HTTP/1.1\r\n\r\n"));
  talking.say(Side::kClient, span_of("\x16\x03\x01"));
  CHECK(!talking.say(Side::kServer, span_of("HTTP/1.1 200 Established\r\n\r\n")));
  CHECK(talking.begins_anew);
  CHECK(has(talking.told.lines()[0], R"("hostname":"h.test","http_port":443,"url":"h.test:443")"));
  const auto lines = told({{Side::kClient, kGet}, {Side::kServer, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"}});
  CHECK(has(lines[0], R"("upgrade":"websocket")"));
}

TEST_CASE("what could be read in two ways is not read on") {
  Talking talking(http::kProtocol, kMeeting);
  CHECK(talking.say(Side::kClient, span_of("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")));
  CHECK(talking.has_lost);
  talking.say(Side::kClient, span_of("GET /no HTTP/1.1\r\n\r\n"));
  talking.end();
  REQUIRE(talking.told.lines().size() == 1);
  CHECK(has(talking.told.lines()[0], R"("http_method":"POST")"));
  CHECK(http::kProtocol.match(span_of("GET key\r\n"), kMeeting) == Match::kNo);
  CHECK(http::kProtocol.match(span_of("GE"), kMeeting) == Match::kMore);
  CHECK(http::kProtocol.match(span_of("HTTP/1.1 2"), kMeeting) == Match::kYes);
}

TEST_CASE("of many requests without a response every response finds its own, or is counted") {
  Talking talking(http::kProtocol, kMeeting);
  std::string requests, responses;
  for (int i = 0; i < 10'000; i++) {
    requests += (i % 2 != 0 ? "HEAD /" : "GET /") + std::to_string(i) + "/ HTTP/1.1\r\n\r\n";
    responses += "HTTP/1.1 200 OK\r\nServer: of-" + std::to_string(i) + "-\r\nContent-Length: 1\r\n\r\n";
    if (i % 2 == 0) responses += "x";
  }
  talking.say(Side::kClient, span_of(requests));
  talking.say(Side::kServer, span_of(responses));
  talking.say(Side::kClient, span_of("GET /10000/ HTTP/1.1\r\n\r\n"));
  talking.say(Side::kServer, span_of("HTTP/1.1 200 OK\r\nServer: of-10000-\r\nContent-Length: 0\r\n\r\n"));
  talking.end();
  const auto& lines = talking.told.lines();
  REQUIRE(lines.size() == 129);
  CHECK(talking.told.withheld == 10'001 - 129);
  for (size_t i = 0; i < lines.size(); i++) {
    const std::string number = std::to_string(i < 128 ? i : 10'000);
    CHECK(has(lines[i], "\"url\":\"/" + number + "/\""));
    CHECK(has(lines[i], "\"server\":\"of-" + number + "-\""));
  }
}

TEST_CASE("lengths are of the bytes that came") {
  const auto short_of = told({{Side::kClient, "POST /a HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc"},
                              {Side::kServer, "HTTP/1.1 413 No\r\nContent-Length: 1000000\r\n\r\n0123456789"}});
  REQUIRE(short_of.size() == 1);
  CHECK(has(short_of[0], R"("length":10,"request_length":3)"));
  CHECK(has(short_of[0], R"("incomplete":true)"));
  const auto chunks =
      told({{Side::kClient, kGet},
            {Side::kServer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nffff\r\n12345"}},
           3);
  CHECK(has(chunks[0], R"("length":8)"));
}

TEST_CASE("the response to a request of no good length is told with it") {
  for (const std::string field : {"Content-Length: 99999999999999999999999\r\n\r\nabc", "Content-Length: -5\r\n\r\n",
                                  "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc"}) {
    for (const size_t piece : {1u, 1u << 20}) {
      const auto lines = told({{Side::kClient, "POST /bad HTTP/1.1\r\n" + field},
                               {Side::kServer, "HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nab"}},
                              piece);
      REQUIRE(lines.size() == 1);
      CHECK(has(lines[0], R"("url":"/bad")"));
      CHECK(has(lines[0], R"("status":400,"length":2)"));
    }
  }
}

TEST_CASE("a head that is too long is given up, and the response told alone") {
  for (const bool is_line : {true, false}) {
    Talking talking(http::kProtocol, kMeeting);
    const std::string filler(100'000, 'A');
    const std::string head = is_line ? "GET /" + filler : "GET / HTTP/1.1\r\nX: " + filler;
    for (size_t at = 0; at < head.size(); at += 1000) {
      CHECK(talking.say(Side::kClient, span_of(std::string_view(head).substr(at, 1000))));
    }
    CHECK(talking.has_lost);
    talking.say(Side::kServer, span_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"));
    REQUIRE(talking.told.lines().size() == 1);
    CHECK(has(talking.told.lines()[0], R"("status":200,"length":2)"));
  }
}

TEST_CASE("empty lines may come before the first request") {
  CHECK(http::kProtocol.match(span_of("\r\n\r\nGET / HTTP/1.1\r\n"), kMeeting) == Match::kYes);
  CHECK(http::kProtocol.match(span_of("\r\n"), kMeeting) == Match::kMore);
  CHECK(http::kProtocol.match(span_of("\r\nQUIT\r\n"), kMeeting) == Match::kNo);
  CHECK(told({{Side::kClient, "\r\n\n\r\n" + kGet}}, 1).size() == 1);
}

TEST_CASE("HTTP 0.9: a request is a line, and its response what comes until the end") {
  for (const size_t piece : {1u, 1u << 20}) {
    const auto lines = told({{Side::kClient, "GET /a?b\r\n\r\n"}, {Side::kServer, "HTML <html>"}}, piece);
    REQUIRE(lines.size() == 1);
    CHECK(has(lines[0], R"("url":"/a?b","http_method":"GET","protocol":"HTTP/0.9","length":11)"));
    const auto today =
        told({{Side::kClient, "GET /\r\n"}, {Side::kServer, "HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nab"}}, piece);
    REQUIRE(today.size() == 1);
    CHECK(has(today[0], R"("protocol":"HTTP/0.9","status":400,"length":2)"));
  }
  CHECK(http::kProtocol.match(span_of("GET /\r\n"), kMeeting) == Match::kYes);
  CHECK(http::kProtocol.match(span_of("GET /a b\r\n"), kMeeting) == Match::kNo);
  CHECK(http::kProtocol.match(span_of("PUT /a\r\n"), kMeeting) == Match::kNo);
}
