#include "protocol/ssh/ssh.h"

#include <doctest/doctest.h>

#include "protocol/digest.h"
#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 22, .is_tcp = true};

std::string list(std::string_view text) {
  const std::byte size[] = {std::byte{0}, std::byte{0}, std::byte{0}, static_cast<std::byte>(text.size())};
  return hex_of(size) + "'" + std::string(text) + "'";
}

/// KEXINIT; what a client offers for either way has 1 and 2 in it.
std::vector<std::byte> key_exchange() {
  std::string body = "04 14" + std::string(32, '0');
  for (const std::string_view each : {"kex", "host", "enc1", "enc2", "mac1", "mac2", "none1", "none2", "", ""}) {
    body += list(each);
  }
  body += "00 00000000 00000000";
  const std::byte size[] = {std::byte{0}, std::byte{0}, std::byte{0}, static_cast<std::byte>(bytes_of(body).size())};
  return bytes_of(hex_of(size) + body);
}

}  // namespace

TEST_CASE("both ends are told with what they offer, in any pieces") {
  Talking talking(ssh::kProtocol, kMeeting);
  const auto say = [&](Side side, const std::vector<std::byte>& bytes) {
    for (const std::byte each : bytes) talking.say(side, {&each, 1});
  };
  say(Side::kServer, bytes_of("'SSH-2.0-OpenSSH_9.2p1 Debian-2'0d0a"));
  say(Side::kClient, bytes_of("'SSH-2.0-libssh'0a"));
  say(Side::kClient, key_exchange());
  say(Side::kServer, key_exchange());
  const std::string client = hex_of(md5(span_of("kex;enc1;mac1;none1")));
  const std::string server = hex_of(md5(span_of("kex;enc2;mac2;none2")));
  CHECK(talking.told.lines().size() == 1);
  CHECK(talking.told.lines()[0] ==
        R"(ssh {"client":{"proto_version":"2.0","software_version":"libssh","hassh":{"hash":")" + client +
            R"(","string":"kex;enc1;mac1;none1"}},"server":{"proto_version":"2.0",)"
            R"("software_version":"OpenSSH_9.2p1 Debian-2","hassh":{"hash":")" +
            server + R"(","string":"kex;enc2;mac2;none2"}}})");
}

TEST_CASE("a banner alone is told at the end, what is none is nothing") {
  Talking talking(ssh::kProtocol, kMeeting);
  talking.say(Side::kServer, bytes_of("'SSH-1.99-Cisco'0a"));
  talking.end();
  CHECK(talking.told.lines()[0] == R"(ssh {"server":{"proto_version":"1.99","software_version":"Cisco"}})");
  Talking none(ssh::kProtocol, kMeeting);
  CHECK(!none.say(Side::kClient, std::vector<std::byte>(300, std::byte{'S'})));
  CHECK(none.told.lines().empty());
  CHECK(ssh::kProtocol.match(bytes_of("'SSL'"), kMeeting) == Match::kNo);
  CHECK(ssh::kProtocol.match(bytes_of("'SS'"), kMeeting) == Match::kMore);
}

TEST_CASE("a server may send lines before its banner, so many and no more") {
  const Meeting from_server{.client_port = 40000, .server_port = 22, .is_tcp = true, .side = Side::kServer};
  CHECK(ssh::kProtocol.match(bytes_of("'Welcome'0d0a'SSH-2.0-x'"), from_server) == Match::kYes);
  CHECK(ssh::kProtocol.match(bytes_of("'Welcome'0d0a'SS'"), from_server) == Match::kMore);
  CHECK(ssh::kProtocol.match(bytes_of("'Welcome'0d0a'SSH-2.0-x'"), kMeeting) == Match::kNo);
  CHECK(ssh::kProtocol.match(bytes_of("00 0a 'SSH-2.0-x'"), from_server) == Match::kNo);
  for (const size_t piece : {1u, 1000u}) {
    Talking talking(ssh::kProtocol, kMeeting);
    const auto all = bytes_of("'Welcome'0d0a 0d0a 'to SSH-2.0-'0a 'SSH-2.0-banner'0d0a");
    talking.say(Side::kClient, bytes_of("'SSH-2.0-c'0d0a"));
    for (size_t at = 0; at < all.size(); at += piece) {
      CHECK(talking.say(Side::kServer, Span(all).subspan(at, std::min(piece, all.size() - at))));
    }
    talking.end();
    CHECK(talking.told.lines()[0].find(R"("server":{"proto_version":"2.0","software_version":"banner"})") !=
          std::string::npos);
  }
  Talking endless(ssh::kProtocol, kMeeting);
  endless.say(Side::kClient, bytes_of("'SSH-2.0-c'0d0a"));
  size_t lines = 0;
  while (endless.say(Side::kServer, bytes_of("'A line'0a"))) lines++;
  CHECK(lines * 7 <= 16 << 10);
  CHECK(endless.has_lost);
  CHECK(endless.told.lines().size() == 1);
}

TEST_CASE("a banner that is too long is given up, and counted") {
  Talking talking(ssh::kProtocol, kMeeting);
  talking.say(Side::kServer, bytes_of("'SSH-2.0-ok'0d0a"));
  const auto banner = bytes_of("'SSH-2.0-" + std::string(70'000, 'A') + "'");
  CHECK(!talking.say(Side::kClient, banner));
  CHECK(talking.has_lost);
  CHECK(talking.told.lines()[0] == R"(ssh {"server":{"proto_version":"2.0","software_version":"ok"}})");
}
