#include "protocol/tls/tls.h"

#include <doctest/doctest.h>

#include "protocol/client_hello.h"
#include "protocol/digest.h"
#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 443, .is_tcp = true};

std::string hex2(size_t value) {
  const std::byte bytes[] = {static_cast<std::byte>(value >> 8), static_cast<std::byte>(value & 255)};
  return hex_of(bytes);
}

/// Handshake bytes in records of `size` bytes each.
std::vector<std::byte> records(std::string_view message, size_t size = 16384) {
  std::vector<std::byte> out;
  const auto bytes = bytes_of(message);
  for (size_t at = 0; at < bytes.size(); at += size) {
    const size_t count = std::min(size, bytes.size() - at);
    const auto head = bytes_of("160303" + hex2(count));
    out.insert(out.end(), head.begin(), head.end());
    out.insert(out.end(), bytes.begin() + static_cast<ptrdiff_t>(at),
               bytes.begin() + static_cast<ptrdiff_t>(at + count));
  }
  return out;
}

std::string message(std::string_view type, std::string_view body) {
  return std::string(type) + "00" + hex2(bytes_of(body).size()) + std::string(body);
}

const std::string kClient = message("01", "0303 " + std::string(64, '1') +
                                              " 00 0006 1301 0a0a c02f 01 00 002f "
                                              "0000 000c 000a 00 0007'ab.test' "
                                              "0010 000e 000c 02'h2'08'http/1.1' "
                                              "002b 0005 04 0304 0303 "
                                              "fe0d 0000");
const std::string kServer12 = message("02", "0303 " + std::string(64, '2') + " 00 c02f 00 0009 0010 0005 0003 02'h2'");
const std::string kServer13 = message("02", "0303 " + std::string(64, '2') + " 00 1301 00 0006 002b 0002 0304");

std::string told(size_t record, size_t piece, const std::string& server) {
  Talking talking(tls::kProtocol, kMeeting);
  const auto say = [&](Side side, const std::vector<std::byte>& bytes) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      talking.say(side, Span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
  };
  say(Side::kClient, records(kClient, record));
  say(Side::kServer, records(server, record));
  talking.end();
  return talking.told.lines().empty() ? "" : talking.told.lines()[0];
}

}  // namespace

TEST_CASE("a handshake is told once, in whatever records and segments it comes") {
  const std::string whole = told(16384, 100000, kServer12);
  CHECK(whole.find(R"(tls {"sni":"ab.test","client_version":"TLS 1.3","version":"TLS 1.2","cipher":"0xc02f",)"
                   R"("alpn":"h2","client_alpns":["h2","http/1.1"],"ech":true,"ja3":{"hash":")") == 0);
  CHECK(whole.find(R"("string":"771,4865-49199,0-16-43-65037,,")") != std::string::npos);
  CHECK(whole.find(R"("string":"771,49199,16")") != std::string::npos);
  CHECK(whole.find(R"("ja4":"t13d0204h2_)") != std::string::npos);
  for (const size_t record : {1, 7, 50}) {
    for (const size_t piece : {1, 3, 1000}) CHECK(told(record, piece, kServer12) == whole);
  }
  CHECK(told(16384, 100000, kServer13).find(R"("version":"TLS 1.3","cipher":"0x1301")") != std::string::npos);
}

TEST_CASE("one end alone is told at the end") {
  Talking client(tls::kProtocol, kMeeting);
  client.say(Side::kClient, records(kClient));
  CHECK(client.told.lines().empty());
  client.end();
  CHECK(client.told.lines().size() == 1);
  Talking server(tls::kProtocol, kMeeting);
  CHECK(!server.say(Side::kServer, records(kServer13)));
  CHECK(server.told.lines().size() == 1);
}

TEST_CASE("JA3 is that of its publication") {
  ClientHello hello;
  hello.version = 769;
  hello.ciphers = {47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4};
  hello.extensions = {0, 10, 11};
  hello.groups = {23, 24, 25};
  const std::byte formats[] = {std::byte{0}};
  hello.point_formats = formats;
  CHECK(hex_of(md5(span_of(hello.ja3()))) == "ada70206e40642a3e4461f35503241d5");
  ClientHello old;
  old.version = 769;
  old.ciphers = {4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99};
  CHECK(hex_of(md5(span_of(old.ja3()))) == "de350869b8c85de67a350c8d186f11e6");
}

TEST_CASE("JA4 is that of its publication") {
  ClientHello hello;
  hello.version = 0x0303;
  hello.versions = {0x8a8a, 0x0304, 0x0303};
  hello.ciphers = {0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030,
                   0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
  hello.extensions = {0x2a2a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
                      0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015};
  hello.signatures = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601};
  hello.has_sni = true;
  hello.alpn = {span_of("h2")};
  CHECK(hello.ja4('t') == "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST_CASE("what is no hello is no TLS, and what is cut off is nothing") {
  CHECK(tls::kProtocol.match(bytes_of("1603010005 01"), kMeeting) == Match::kYes);
  CHECK(tls::kProtocol.match(bytes_of("16030100"), kMeeting) == Match::kMore);
  CHECK(tls::kProtocol.match(bytes_of("1703030005 01"), kMeeting) == Match::kNo);
  CHECK(tls::kProtocol.match(bytes_of("'GET / '"), kMeeting) == Match::kNo);
  Talking talking(tls::kProtocol, kMeeting);
  const auto whole = records(kClient);
  talking.say(Side::kClient, Span(whole).first(whole.size() - 1));
  talking.end();
  CHECK(talking.told.lines().empty());
}

TEST_CASE("empty records before the hello do not hide it, so many and no more") {
  const auto with = [](size_t count, size_t piece) {
    std::vector<std::byte> all;
    for (size_t i = 0; i < count; i++) {
      const auto empty = bytes_of("1603010000");
      all.insert(all.end(), empty.begin(), empty.end());
    }
    const auto hello = records(kClient);
    all.insert(all.end(), hello.begin(), hello.end());
    CHECK(tls::kProtocol.match(all, kMeeting) == Match::kYes);
    Talking talking(tls::kProtocol, kMeeting);
    for (size_t at = 0; at < all.size(); at += piece) {
      talking.say(Side::kClient, Span(all).subspan(at, std::min(piece, all.size() - at)));
    }
    talking.end();
    CHECK(talking.has_lost == talking.told.lines().empty());
    return !talking.told.lines().empty() && talking.told.lines()[0].find(R"("sni":"ab.test")") != std::string::npos;
  };
  CHECK(with(1, 1000));
  CHECK(with(1000, 1460));
  CHECK(with(1000, 7));
  CHECK(!with(5000, 1460));
  CHECK(tls::kProtocol.match(bytes_of("1603010000"), kMeeting) == Match::kMore);
  CHECK(tls::kProtocol.match(bytes_of("1603010000 1603010000 17030300"), kMeeting) == Match::kNo);
}

TEST_CASE("a message that claims 16 MB is given up, and counted") {
  Talking talking(tls::kProtocol, kMeeting);
  CHECK(!talking.say(Side::kClient, bytes_of("1603014000 01ffffff0303" + std::string(2 * (size_t{16384} - 6), '7'))));
  CHECK(talking.has_lost);
  Talking good(tls::kProtocol, kMeeting);
  good.say(Side::kClient, records(kClient));
  CHECK(!good.say(Side::kServer, records(kServer13)));
  CHECK(!good.has_lost);
}

TEST_CASE("what a client encrypts before the server is heard is not taken for a message") {
  Talking talking(tls::kProtocol, kMeeting);
  CHECK(talking.say(Side::kClient, records(kClient)));
  CHECK(talking.say(Side::kClient, bytes_of("1403030001 01 1603030008 01ffffff fedcba98")));
  talking.say(Side::kServer, records(kServer12));
  talking.end();
  CHECK(!talking.has_lost);
  REQUIRE(talking.told.lines().size() == 1);
  CHECK(talking.told.lines()[0].find(R"("version":"TLS 1.2")") != std::string::npos);
}
