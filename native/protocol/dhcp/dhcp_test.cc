#include "protocol/dhcp/dhcp.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

std::string message(std::string_view options) {
  return "01 01 06 00 00003d1d 0000 0000 00000000 00000000 00000000 00000000 000b8201fc42 00000000000000000000" +
         std::string(128, '0') + std::string(256, '0') + "63825363" + std::string(options);
}

std::string told(std::string_view options) {
  Talking talking(dhcp::kProtocol, {.client_port = 68, .server_port = 67});
  talking.say(Side::kClient, bytes_of(message(options)));
  return talking.told.lines().empty() ? "" : talking.told.lines()[0];
}

}  // namespace

TEST_CASE("a discovery is told as EVE has it") {
  CHECK(told("350101 3d07 01 000b8201fc42 3204 00000000 3704 0103062a 0c03'pc1' ff") ==
        R"(dhcp {"type":"request","id":15645,"client_mac":"00:0b:82:01:fc:42","assigned_ip":"0.0.0.0",)"
        R"("dhcp_type":"discover","client_id":"00:0b:82:01:fc:42","requested_ip":"0.0.0.0","params":[1,3,6,42],)"
        R"("hostname":"pc1"})");
}

TEST_CASE("addresses are lists, and an option that comes twice counts once") {
  const std::string text = told("0608 08080808 08080404 0604 01010101 3304 00015180 ff");
  CHECK(text.find(R"("dns_servers":["8.8.8.8","8.8.4.4"],"lease_time":86400})") != std::string::npos);
}

TEST_CASE("options that end in the middle end there") {
  CHECK(told("350105 0cff'ab'").find(R"("dhcp_type":"ack"})") != std::string::npos);
}

TEST_CASE("it is found by its cookie on any port") {
  const auto bytes = bytes_of(message("ff"));
  CHECK(dhcp::kProtocol.match(bytes, {.client_port = 1, .server_port = 2}) == Match::kYes);
  CHECK(dhcp::kProtocol.match(Span(bytes).first(239), {}) == Match::kNo);
}
