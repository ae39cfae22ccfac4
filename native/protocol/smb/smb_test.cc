#include "protocol/smb/smb.h"

#include <doctest/doctest.h>

#include "protocol/digest.h"
#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 445, .is_tcp = true};

std::string zeros(size_t bytes) { return std::string(2 * bytes, '0'); }

/// In a frame of NetBIOS.
std::string framed(const std::string& message) {
  const auto size = static_cast<uint32_t>(bytes_of(message).size());
  const std::byte head[] = {std::byte{0}, static_cast<std::byte>(size >> 16), static_cast<std::byte>(size >> 8),
                            static_cast<std::byte>(size)};
  return hex_of(head) + message;
}

std::string head1(bool is_reply, const std::string& status = "00000000") {
  return "ff'SMB'72" + status + (is_reply ? "88" : "08") + zeros(22);
}
std::string head2(bool is_reply, const std::string& status = "00000000", const std::string& command = "0000") {
  return "fe'SMB'40000000" + status + command + "0000" + (is_reply ? "01000000" : "00000000") + zeros(44);
}

const std::string kGuid = "00112233445566778899aabbccddeeff";
const std::string kRequest1 = framed(head1(false) + "00 1c00 02'NT LM 0.12'00 02'SMB 2.\?\?\?'00 0200 02'x'00");
const std::string kRequest2 =
    framed(head2(false) + "2400 0300 0100 0000 7f000000" + kGuid + zeros(8) + "0202 0003 1103");
const std::string kResponse2 = framed(head2(true) + "4100 0300 1103 0000" + kGuid +
                                      "2f000000 00008000 00000100 00000200" + zeros(16) + "8000 0000 00000000");

std::vector<std::string> told(const std::vector<std::pair<Side, std::string>>& all, size_t piece = 1 << 20) {
  Talking talking(smb::kProtocol, kMeeting);
  for (const auto& [side, text] : all) {
    const auto bytes = bytes_of(text);
    for (size_t at = 0; at < bytes.size(); at += piece) {
      talking.say(side, Span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
  }
  talking.end();
  return talking.told.lines();
}

}  // namespace

TEST_CASE("a negotiation of SMB 3 is an event, in any pieces") {
  for (const size_t piece : {1u, 7u, 1u << 20}) {
    const auto lines = told({{Side::kClient, kRequest2}, {Side::kServer, kResponse2}}, piece);
    REQUIRE(lines.size() == 1);
    CHECK(
        lines[0] ==
        R"(smb {"id":1,"dialect":"3.11","command":"SMB2_COMMAND_NEGOTIATE_PROTOCOL","status":"STATUS_SUCCESS",)"
        R"("status_code":"0x0","client_dialects":["2.02","3.00","3.11"],)"
        R"("client_guid":"33221100-5544-7766-8899-aabbccddeeff","server_guid":"33221100-5544-7766-8899-aabbccddeeff",)"
        R"("signing_required":true,"max_read_size":65536,"max_write_size":131072})");
  }
}

TEST_CASE("SMB 1 that leads to SMB 2 is two events") {
  const std::string any = framed(head2(true) + "4100 0100 ff02 0000" + kGuid + zeros(32) + zeros(8));
  const auto lines =
      told({{Side::kClient, kRequest1}, {Side::kServer, any}, {Side::kClient, kRequest2}, {Side::kServer, kResponse2}});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find(R"("id":1,"dialect":"2.??","command":"SMB1_COMMAND_NEGOTIATE_PROTOCOL")") != std::string::npos);
  CHECK(lines[0].find(R"("client_dialects":["NT LM 0.12","SMB 2.???","","x"])") != std::string::npos);
  CHECK(lines[1].find(R"("id":2,"dialect":"3.11")") != std::string::npos);
}

TEST_CASE("SMB 1 alone has the dialect that the server's number stands for") {
  const std::string words = "11 0000 0b 3200 0100 04110000 00000100 00000000 fdf38080" + zeros(8) + "0000 00";
  const auto lines = told({{Side::kClient, kRequest1}, {Side::kServer, framed(head1(true) + words + "1000" + kGuid)}});
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find(R"("dialect":"NT LM 0.12")") != std::string::npos);
  CHECK(lines[0].find(R"("server_guid":"33221100-5544-7766-8899-aabbccddeeff","signing_required":true)") !=
        std::string::npos);
  const auto none = told({{Side::kClient, kRequest1}, {Side::kServer, framed(head1(true) + "01 ffff 0000")}});
  CHECK(none.at(0).find(R"("dialect":"unknown")") != std::string::npos);
}

TEST_CASE("a session of NetBIOS may come before it, and a refusal says which") {
  const std::string session = "81000044 20" + zeros(67);
  const auto lines = told({{Side::kClient, session},
                           {Side::kServer, "82000000"},
                           {Side::kClient, kRequest2},
                           {Side::kServer, framed(head2(true, "bb0000c0") + "0900 0000 00000000 00")}});
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find(R"("dialect":"unknown")") != std::string::npos);
  CHECK(lines[0].find(R"("status":"STATUS_NOT_SUPPORTED","status_code":"0xc00000bb")") != std::string::npos);
}

TEST_CASE("it is found by its first message, and one direction alone is told") {
  const auto match = [](const std::string& text) { return smb::kProtocol.match(bytes_of(text), kMeeting); };
  CHECK(match(kRequest1) == Match::kYes);
  CHECK(match(kResponse2) == Match::kYes);
  CHECK(match("81000044 20") == Match::kYes);
  CHECK(match("0000004f ff'SMB'") == Match::kMore);
  CHECK(match("00") == Match::kMore);
  CHECK(match("0000004f ff'SMC'7200000000880000000000") == Match::kNo);
  CHECK(match("0000004f ff'SMB'7300000000880000000000") == Match::kNo);
  CHECK(match(framed(head2(false, "00000000", "0100"))) == Match::kNo);
  CHECK(match("00000004 ff") == Match::kNo);
  CHECK(match("8100004520") == Match::kNo);
  CHECK(told({{Side::kServer, kResponse2}}).at(0).find(R"("id":1,"dialect":"3.11")") != std::string::npos);
  CHECK(told({{Side::kClient, kRequest2}}).at(0).find("status") == std::string::npos);
}

TEST_CASE("what should be a negotiation and is none is lost, with what is known told") {
  for (const std::string& bad : {
           framed(head2(true)),                     // nothing in it
           framed(head2(true) + "4100 0300 1103"),  // cut
           framed("fe'SMB'41000000" + zeros(56)),   // another header
           framed(head1(true) + "11 0000"),         // fewer words than it says
           std::string("00ffffff"),                 // too long
           std::string("77000000"),                 // no message of NetBIOS
       }) {
    Talking talking(smb::kProtocol, kMeeting);
    talking.say(Side::kClient, bytes_of(kRequest2));
    CHECK_MESSAGE(!talking.say(Side::kServer, bytes_of(bad)), bad);
    CHECK(talking.told.lines().size() == 1);
  }
  for (const std::string& bad : {
           framed(head1(false) + "00 0500 'abcde'"),   // no list
           framed(head1(false) + "00 0500 02'abcd'"),  // without an end
           framed(head1(false) + "00 ff00 02'a'00"),   // cut
           framed(head2(false) + "2400 ffff 0100 0000 7f000000" + kGuid + zeros(8) + "0202"),
       }) {
    Talking talking(smb::kProtocol, kMeeting);
    CHECK(!talking.say(Side::kClient, bytes_of(bad)));
    CHECK(talking.has_lost);
    CHECK(talking.told.lines().empty());
  }
}
