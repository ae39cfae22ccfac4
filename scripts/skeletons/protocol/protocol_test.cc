#include "protocol/@name@/@name@.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

TEST_CASE("each line is told, in whatever pieces it comes") {
  Talking talking(@name@::kProtocol, {.client_port = 40000, .server_port = 9999, .is_tcp = true});
  for (const char c : std::string_view("@name@ one\n@name@ two\n")) talking.say(Side::kClient, span_of({&c, 1}));
  REQUIRE(talking.told.lines().size() == 2);
  CHECK(talking.told.lines()[1] == R"(@name@ {"from":"client","line":"@name@ two"})");
}

TEST_CASE("what begins otherwise is none") {
  CHECK(@name@::kProtocol.match(span_of("@name@ x"), {}) == Match::kYes);
  CHECK(@name@::kProtocol.match(span_of("x"), {}) == Match::kNo);
}
