#include "protocol/rdp/rdp.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 3389, .is_tcp = true};
constexpr Meeting kElsewhere{.client_port = 40000, .server_port = 13389, .is_tcp = true};

// From the published example of MS-RDPBCGR §4.1.1, and its answer.
constexpr std::string_view kRequest = "0300002c 27e00000000000 'Cookie: mstshash=eltons'0d0a 0100080000000000";
constexpr std::string_view kResponse = "03000013 0ed00000123400 0200080000000000";

std::vector<std::string> told(std::string_view client, std::string_view server, size_t piece = 1 << 20) {
  Talking talking(rdp::kProtocol, kMeeting);
  for (const auto& [side, text] : {std::pair{Side::kClient, client}, std::pair{Side::kServer, server}}) {
    const auto bytes = bytes_of(text);
    for (size_t at = 0; at < bytes.size(); at += piece) {
      talking.say(side, Span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
  }
  talking.end();
  return talking.told.lines();
}

}  // namespace

TEST_CASE("what is asked for and what is chosen are an event each, in any pieces") {
  for (const size_t piece : {1u, 5u, 1u << 20}) {
    const auto lines = told(kRequest, kResponse, piece);
    REQUIRE(lines.size() == 2);
    CHECK(lines[0] ==
          R"(rdp {"tx_id":0,"event_type":"initial_request","cookie":"eltons","requested_protocols":["rdp"]})");
    CHECK(lines[1] == R"(rdp {"tx_id":1,"event_type":"initial_response","protocol":"rdp"})");
  }
}

TEST_CASE("behind a choice of TLS it is another protocol's") {
  Talking talking(rdp::kProtocol, kMeeting);
  talking.say(Side::kClient, bytes_of("03000013 0ee00000000000 010008000b000000"));
  CHECK(!talking.say(Side::kServer, bytes_of("03000013 0ed00000123400 021f080002000000")));
  CHECK(talking.begins_anew);
  CHECK(talking.told.lines()[0] ==
        R"(rdp {"tx_id":0,"event_type":"initial_request","requested_protocols":["ssl","hybrid","hybrid_ex"]})");
  CHECK(talking.told.lines()[1] == R"(rdp {"tx_id":1,"event_type":"initial_response","protocol":"hybrid"})");
}

TEST_CASE("a refusal says why, and an old server nothing at all") {
  CHECK(told("03000013 0ee00000000000 0100080001000000", "03000013 0ed00000123400 0300080005000000").at(1) ==
        R"(rdp {"tx_id":1,"event_type":"initial_response","error_code":5,"reason":"hybrid required by server"})");
  const auto old = told("0300000b 06e00000000000", "0300000b 06d00000123400");
  CHECK(old.at(0) == R"(rdp {"tx_id":0,"event_type":"initial_request"})");
  CHECK(old.at(1) == R"(rdp {"tx_id":1,"event_type":"initial_response","protocol":"rdp"})");
  const auto token = told("0300002f 2ae00000000000 'Cookie: msts=3640205228.15629.0000'0d0a", "");
  CHECK(token.at(0) ==
        R"(rdp {"tx_id":0,"event_type":"initial_request","routing_token":"Cookie: msts=3640205228.15629.0000"})");
}

TEST_CASE("it is found by what it says on any port, and what else connects by X.224 is none") {
  const auto match = [](std::string_view text, const Meeting& meeting) {
    return rdp::kProtocol.match(bytes_of(text), meeting);
  };
  CHECK(match(kRequest, kElsewhere) == Match::kYes);
  CHECK(match("03000013 0ed00000123400 0200080001000000", kElsewhere) == Match::kYes);
  CHECK(match("0300000b 06e00000000000", kMeeting) == Match::kYes);
  CHECK(match("0300000b 06e00000000000", kElsewhere) == Match::kNo);
  CHECK(match("0300002c 27e0", kMeeting) == Match::kMore);
  CHECK(match("03", kMeeting) == Match::kMore);
  CHECK(match("03000016 11e00000000100 c0010ac1020100c2020102", kMeeting) == Match::kNo);  // S7
  CHECK(match("0300000b 07e00000000000", kMeeting) == Match::kNo);                         // its lengths differ
  CHECK(match("03000013 0ee00000000000 0100090000000000", kMeeting) == Match::kNo);
  CHECK(match("0300000c 07e00000000000 01", kMeeting) == Match::kNo);
  CHECK(match("0300ffff 27e0", kMeeting) == Match::kNo);
  CHECK(match("0300002c 27f0", kMeeting) == Match::kNo);
}

TEST_CASE("what comes behind a good request and is none is lost") {
  Talking talking(rdp::kProtocol, kMeeting);
  talking.say(Side::kClient, bytes_of(kRequest));
  CHECK(!talking.say(Side::kServer, bytes_of("'no such thing'")));
  CHECK(talking.has_lost);
  CHECK(talking.told.lines().size() == 1);
}
