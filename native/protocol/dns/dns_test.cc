#include "protocol/dns/dns.h"

#include <doctest/doctest.h>

#include "protocol/digest.h"
#include "protocol/dns/name.h"
#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {

constexpr Meeting kUdp{.client_port = 40000, .server_port = 53};

std::string told(std::string_view hex, const Meeting& meeting = kUdp, bool is_cut = false) {
  Talking talking(dns::kProtocol, meeting);
  talking.say(Side::kClient, bytes_of(hex), is_cut);
  return talking.told.lines().empty() ? "" : talking.told.lines()[0];
}

}  // namespace

TEST_CASE("a question is told as EVE has it") {
  CHECK(
      told("1234 0100 0001 0000 0000 0000 03'www'07'example'03'com'00 0001 0001") ==
      R"(dns {"version":3,"type":"request","id":4660,"flags":"0100","qr":false,"rd":true,"opcode":0,"rcode":"NOERROR",)"
      R"("queries":[{"rrname":"www.example.com","rrtype":"A"}]})");
}

TEST_CASE("an answer has its records, compressed names, EDNS, and what is grouped") {
  CHECK(told("1234 8180 0001 0002 0000 0001 01'a'02'bc'00 001c 0001 "
             "c00c 0005 0001 0000003c 0004 01'x'c00e  c022 001c 0001 00000e10 0010 20010db8000000000000000000000001 "
             "00 0029 04d0 00 00 8000 0008 000a 0004 01020304") ==
        R"(dns {"version":3,"type":"response","id":4660,"flags":"8180","qr":true,"rd":true,"ra":true,"opcode":0,)"
        R"("rcode":"NOERROR","queries":[{"rrname":"a.bc","rrtype":"AAAA"}],)"
        R"("answers":[{"rrname":"a.bc","rrtype":"CNAME","ttl":60,"rdata":"x.bc"},)"
        R"({"rrname":"x.bc","rrtype":"AAAA","ttl":3600,"rdata":"2001:db8::1"}],"additionals":[],)"
        R"("grouped":{"AAAA":["2001:db8::1"],"CNAME":["x.bc"]},)"
        R"("edns":{"udp_size":1232,"version":0,"do":true,"options":[{"code":10,"data":"01020304"}]}})");
}

TEST_CASE("bytes that are no text are escaped once") {
  CHECK(told("0001 0000 0001 0000 0000 0000 06'a\\'22 00 e9 0a 00 0001 0001")
            .find(R"("rrname":"a\\x5c\"\\x00\\xe9\\x0a")") != std::string::npos);
}

TEST_CASE("a compression pointer goes backwards only") {
  for (const std::string_view name : {"c00c", "01'a'c00c", "c00e c00c", "c0ff"}) {
    const std::string text = told("0001 0000 0001 0000 0000 0000 " + std::string(name) + " 0001 0001");
    CHECK(text.find(R"("malformed":true)") != std::string::npos);
  }
}

TEST_CASE("what is cut says so, and what was captured is there") {
  const std::string text = told("1234 8180 0001 0001 0000 0000 01'a'00 0001 0001 c00c 0001", kUdp, true);
  CHECK(text.find(R"("rrname":"a")") != std::string::npos);
  CHECK(text.find(R"("cut":true)") != std::string::npos);
}

TEST_CASE("it is found on any port where all of it fits, and by its port else") {
  const auto whole = bytes_of("1234 0100 0001 0000 0000 0000 03'www'00 0001 0001");
  const auto more = bytes_of("1234 0100 0001 0000 0000 0000 03'www'00 0001 0001 00");
  const Meeting strange{.client_port = 40000, .server_port = 9999};
  CHECK(dns::kProtocol.match(whole, strange) == Match::kYes);
  CHECK(dns::kProtocol.match(more, strange) == Match::kNo);
  CHECK(dns::kProtocol.match(more, kUdp) == Match::kYes);
  CHECK(dns::kProtocol.match(bytes_of("16030100"), kUdp) == Match::kNo);
}

TEST_CASE("over TCP messages come behind their lengths, in any pieces") {
  const auto one = bytes_of("1234 0100 0001 0000 0000 0000 03'www'00 0001 0001");
  const Meeting tcp{.client_port = 40000, .server_port = 53, .is_tcp = true};
  Talking talking(dns::kProtocol, tcp);
  for (int i = 0; i < 3; i++) {
    std::vector<std::byte> framed = {std::byte{0}, static_cast<std::byte>(one.size())};
    framed.insert(framed.end(), one.begin(), one.end());
    for (const std::byte each : framed) talking.say(Side::kClient, {&each, 1});
  }
  CHECK(talking.told.lines().size() == 3);
}

TEST_CASE("a response says how long it took") {
  Talking talking(dns::kProtocol, kUdp);
  talking.told.set_now(1'000'000'000);
  talking.say(Side::kClient, bytes_of("1234 0100 0001 0000 0000 0000 01'a'00 0001 0001"));
  talking.told.set_now(1'012'345'678);
  talking.say(Side::kServer, bytes_of("1234 8183 0001 0000 0000 0000 01'a'00 0001 0001"));
  CHECK(talking.told.lines()[1].find(R"("rcode":"NXDOMAIN","latency_us":12345,)") != std::string::npos);
}

TEST_CASE("256 requests of a flow wait for their responses, whatever their ids count by") {
  for (const unsigned step : {1u, 256u, 1024u + 1u, 40503u}) {
    Talking talking(dns::kProtocol, kUdp);
    const auto say = [&](Side side, unsigned id, std::string_view flags) {
      const std::byte bytes[] = {static_cast<std::byte>(id >> 8), static_cast<std::byte>(id)};
      talking.say(side, bytes_of(hex_of(bytes) + std::string(flags) + "0001 0000 0000 0000 01'a'00 0001 0001"));
    };
    for (unsigned i = 0; i < 256; i++) {
      talking.told.set_now(1'000'000'000 + i * 1000);
      say(Side::kClient, i * step & 0xffff, "0100");
    }
    talking.told.set_now(2'000'000'000);
    for (unsigned i = 0; i < 256; i++) say(Side::kServer, i * step & 0xffff, "8180");
    say(Side::kServer, 0, "8180");
    const auto& lines = talking.told.lines();
    REQUIRE(lines.size() == 513);
    for (unsigned i = 0; i < 256; i++) {
      CHECK(lines[256 + i].find("\"latency_us\":" + std::to_string(1'000'000 - i) + ",") != std::string::npos);
    }
    CHECK(lines[512].find("latency_us") == std::string::npos);
  }
}

TEST_CASE("what is damaged is told on its own port, with what was read before") {
  const auto counts = bytes_of("0004 8180 ffff ffff 0000 0000 01'a'00 0001 0001");
  const auto header = bytes_of("0004 0100 0000 0000 0000 0000");
  const Meeting strange{.client_port = 40000, .server_port = 9999};
  for (const auto& each : {counts, header}) {
    CHECK(dns::kProtocol.match(each, kUdp) == Match::kYes);
    CHECK(dns::kProtocol.match(each, strange) == Match::kNo);
    Talking talking(dns::kProtocol, kUdp);
    talking.say(Side::kServer, each);
    REQUIRE(talking.told.lines().size() == 1);
    CHECK(talking.told.lines()[0].find(R"("malformed":true)") != std::string::npos);
  }
  CHECK(told("0004 8180 ffff ffff 0000 0000 01'a'00 0001 0001").find(R"("rrname":"a","rrtype":"A"}])") !=
        std::string::npos);
  CHECK(dns::kProtocol.match(bytes_of("'GET / HTTP/1.1'0d0a"), kUdp) == Match::kNo);
}
