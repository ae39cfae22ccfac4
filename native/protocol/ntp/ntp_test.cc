#include "protocol/ntp/ntp.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {
constexpr Meeting kMeeting{.client_port = 40000, .server_port = 123};
}

TEST_CASE("an answer says what time it is, and where that is from") {
  Talking talking(ntp::kProtocol, kMeeting);
  talking.say(Side::kServer, bytes_of("24 01 06 ec 00010000 00008000 'GPS'00 0000000000000000 0000000000000000"
                                      "0000000000000000 e8fd370080000000"));
  CHECK(talking.told.lines()[0] ==
        R"(ntp {"version":4,"mode":"server","leap":0,"stratum":1,"poll":6,"precision":20,"root_delay_us":1000000,)"
        R"("root_dispersion_us":500000,"reference":"GPS","transmitted":"2023-11-14T00:00:00.500000+0000"})");
}

TEST_CASE("it is found by its port, and what is short says what it can") {
  CHECK(ntp::kProtocol.match(bytes_of("23000000"), kMeeting) == Match::kYes);
  CHECK(ntp::kProtocol.match(bytes_of("23000000"), {.client_port = 1, .server_port = 2}) == Match::kNo);
  CHECK(ntp::kProtocol.match(bytes_of("00000000"), kMeeting) == Match::kNo);
  Talking talking(ntp::kProtocol, kMeeting);
  talking.say(Side::kClient, bytes_of("16020001"));
  CHECK(talking.told.lines()[0] == R"(ntp {"version":2,"mode":"control","op_code":2})");
}
