#include "protocol/quic/quic.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "protocol/digest.h"
#include "protocol/quic/crypto_stream.h"
#include "protocol/quic/hkdf.h"
#include "protocol/quic/packet.h"
#include "protocol/quic/quic_vectors.h"
#include "protocol/told.h"

using namespace ringtap::protocol;
using namespace ringtap::protocol::quic;

namespace {

constexpr Meeting kMeeting{.client_port = 40000, .server_port = 443};

template <class T>
T array_of(std::string_view hex) {
  T out{};
  const auto bytes = bytes_of(hex);
  std::copy_n(bytes.begin(), out.size(), out.begin());
  return out;
}

struct Said {
  Side side;
  std::vector<std::byte> bytes;
};

std::string told(const std::vector<Said>& datagrams) {
  Talking talking(quic::kProtocol, kMeeting);
  for (const Said& each : datagrams) {
    if (!talking.say(each.side, each.bytes)) break;
  }
  talking.end();
  return talking.told.lines().size() == 1 ? talking.told.lines()[0] : "";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("AES-128 is that of FIPS 197 and SP 800-38A") {
  const auto one = Aes128(array_of<Block>("000102030405060708090a0b0c0d0e0f"));
  CHECK(hex_of(one.of(array_of<Block>("00112233445566778899aabbccddeeff"))) == "69c4e0d86a7b0430d8cdb78070b4c55a");
  const auto two = Aes128(array_of<Block>("2b7e151628aed2a6abf7158809cf4f3c"));
  CHECK(hex_of(two.of(array_of<Block>("6bc1bee22e409f96e93d7e117393172a"))) == "3ad77bb40d7a3660a89ecaf32466ef97");
}

TEST_CASE("GCM is that of its specification, and refuses whatever is altered") {
  const Gcm gcm(array_of<Block>("feffe9928665731c6d6a8f9467308308"));
  const auto nonce = array_of<Nonce>("cafebabefacedbaddecaf888");
  auto beside = bytes_of("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  auto text = bytes_of(
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
      "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091");
  auto tag = bytes_of("5bc94fbc3221a5db94fae95ae7121a47");
  const auto kept = text;
  for (std::vector<std::byte>* of : {&beside, &text, &tag}) {
    for (std::byte& each : *of) {
      each ^= std::byte{0x10};
      CHECK(!gcm.open(nonce, beside, text, tag));
      each ^= std::byte{0x10};
    }
  }
  CHECK(text == kept);
  CHECK(gcm.open(nonce, beside, text, tag));
  CHECK(hex_of(text) ==
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
        "b16aedf5aa0de657ba637b39");
  std::vector<std::byte> nothing;
  CHECK(Gcm(Block{}).open(Nonce{}, {}, nothing, bytes_of("58e2fccefa7e3061367f1d57a4e7455a")));
}

TEST_CASE("secrets are those of RFC 4231 and RFC 9001") {
  CHECK(hex_of(hmac_sha256(span_of("Jefe"), span_of("what do ya want for nothing?"))) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  const Secret initial =
      hmac_sha256(bytes_of("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), bytes_of("8394c8f03e515708"));
  CHECK(hex_of(initial) == "7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44");
  const Secret client = expand_label(initial, "client in", 32);
  CHECK(hex_of(client) == "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea");
  CHECK(hex_of(expand_label(client, "quic key", 16)).substr(0, 32) == "1f369613dd76d5467730efcbe3b1a22d");
  CHECK(hex_of(expand_label(client, "quic iv", 12)).substr(0, 24) == "fa044b2f42a3fd3b46fb255c");
  CHECK(hex_of(expand_label(client, "quic hp", 16)).substr(0, 32) == "9f50449e04a0e810283a1e9933adedd2");
}

TEST_CASE("the connections of RFC 9001 and RFC 9369 are told") {
  const std::string one = told({{Side::kClient, bytes_of(kClient1)}, {Side::kServer, bytes_of(kServer1)}});
  CHECK(has(one, R"(quic {"version":"1","sni":"example.com","client_alpns":["alpn"],"cipher":"0x1301",)"));
  CHECK(has(one, R"("string":"771,4865-4866,0-65281-10-16-5-51-43-13-45-28-57,29-23-24,"})"));
  CHECK(has(one, R"("string":"771,4865,51-43"})"));
  CHECK(has(one, R"("ja4":"q13d0211an_)"));
  CHECK(!has(one, "refused"));
  const std::string two = told({{Side::kClient, bytes_of(kClient2)}, {Side::kServer, bytes_of(kServer2)}});
  CHECK(has(two, R"(quic {"version":"6b3343cf","sni":"example.com",)"));
  CHECK(two.substr(two.find("\"sni\"")) == one.substr(one.find("\"sni\"")));
  // The server goes on with version 2, with keys of the same id.
  const std::string both = told({{Side::kClient, bytes_of(kClient1)}, {Side::kServer, bytes_of(kServer2)}});
  CHECK(has(both, R"({"version":"1","server_version":"6b3343cf","sni":"example.com")"));
  // Of a trace that begins in between, the one who seems to be the client is not.
  const std::string swapped = told({{Side::kServer, bytes_of(kClient1)}, {Side::kClient, bytes_of(kServer1)}});
  CHECK(swapped == one);
}

TEST_CASE("a packet whose tag is wrong is refused and counted") {
  auto bytes = bytes_of(kClient1);
  bytes[600] ^= std::byte{1};
  CHECK(told({{Side::kClient, bytes}}) == R"(quic {"version":"1","refused":1})");
  const std::string then = told({{Side::kClient, bytes}, {Side::kClient, bytes_of(kClient1)}});
  CHECK(has(then, R"("sni":"example.com")"));
  CHECK(has(then, R"("refused":1})"));
  // Nobody gets us to try for ever.
  Talking talking(quic::kProtocol, kMeeting);
  size_t count = 1;
  while (talking.say(Side::kClient, bytes)) count++;
  CHECK(count == 16);
  CHECK(talking.told.lines().size() == 1);
}

TEST_CASE("a datagram that is cut is told as such") {
  Talking talking(quic::kProtocol, kMeeting);
  const auto bytes = bytes_of(kClient1);
  talking.say(Side::kClient, Span(bytes).first(64), true);
  talking.end();
  CHECK(talking.told.lines() == std::vector<std::string>{R"(quic {"version":"1","cut":true})"});
}

TEST_CASE("what follows the handshake ends it") {
  Talking talking(quic::kProtocol, kMeeting);
  CHECK(talking.say(Side::kClient, bytes_of("40 01020304")));
  CHECK(talking.say(Side::kClient, bytes_of(kClient1)));
  CHECK(!talking.say(Side::kClient, bytes_of("40 01020304")));
  CHECK(talking.told.lines().size() == 1);
}

TEST_CASE("it is found by version and header alone") {
  const auto match = [](std::string_view hex, size_t size = 0, uint16_t port = 9999) {
    auto bytes = bytes_of(hex);
    bytes.resize(std::max(size, bytes.size()));
    return quic::kProtocol.match(bytes, {.client_port = 40000, .server_port = port});
  };
  CHECK(match(kClient1) == Match::kYes);
  CHECK(match(kServer2) == Match::kYes);
  CHECK(match("40 00000001 08 0102030405060708 00") == Match::kNo);
  CHECK(match("80 00000001 08 0102030405060708 00") == Match::kNo);
  CHECK(match("c0 00000001 15 0102030405060708 00") == Match::kNo);
  CHECK(match("c0 00000001 08 0102") == Match::kNo);
  CHECK(match("c0 0000") == Match::kNo);
  CHECK(match("c0 00000000 08 0102030405060708 00", 1200, 443) == Match::kNo);
  CHECK(match("c0 ff00001d 08 0102030405060708 00", 1200) == Match::kYes);
  CHECK(match("c0 1a2a3a4a 08 0102030405060708 00", 1200) == Match::kYes);
  CHECK(match("c0 faceb002 08 0102030405060708 00", 1200) == Match::kNo);
  CHECK(match("c0 faceb002 08 0102030405060708 00", 1200, 443) == Match::kYes);
  CHECK(match("c0 faceb002 08 0102030405060708 00", 1199, 443) == Match::kNo);
}

TEST_CASE("a version that is not known, and its negotiation, are told") {
  auto first = bytes_of("c0 1a2a3a4a 08 0102030405060708 00");
  first.resize(1200);
  const auto offer = bytes_of("80 00000000 00 08 0102030405060708 00000001 6b3343cf");
  CHECK(told({{Side::kClient, first}}) == R"(quic {"version":"1a2a3a4a"})");
  CHECK(told({{Side::kClient, first}, {Side::kServer, offer}}) ==
        R"(quic {"version":"1a2a3a4a","versions":["1","6b3343cf"]})");
  const std::string then = told({{Side::kClient, first}, {Side::kServer, offer}, {Side::kClient, bytes_of(kClient1)}});
  CHECK(has(then, R"(quic {"version":"1","versions":["1","6b3343cf"],"sni":"example.com")"));
}

TEST_CASE("pieces come in any order, what came first stays, and no more is kept than may be") {
  CryptoStream stream(64);
  const auto message = bytes_of("01 000006 'abcdef' 02 000001 'x'");
  for (size_t i = message.size(); i > 0; i--) {
    CHECK(stream.next().empty());
    CHECK(stream.add(i - 1, Span(message).subspan(i - 1, 1)));
    CHECK(stream.add(i - 1, bytes_of("'?'")));
  }
  CHECK(text_of(stream.next().subspan(4)) == "abcdef");
  CHECK(text_of(stream.next().subspan(4)) == "x");
  CHECK(stream.next().empty());
  CHECK(stream.add(63, bytes_of("00")));
  CHECK(!stream.add(63, bytes_of("0000")));
  CHECK(!stream.add(uint64_t{1} << 61, bytes_of("00")));
  CHECK(stream.memory() < 1024);
}
