#include <doctest/doctest.h>

#include <atomic>
#include <iterator>
#include <random>
#include <thread>

#include "filter/text.h"
#include "filter/validate.h"
#include "filter/vm.h"
#include "libpcap/compile.h"
#include "libpcap/library.h"
#include "libpcap/link_type.h"
#include "test/expressions.h"
#include "test/reference_filter.h"

using namespace ringtap;

namespace {

constexpr uint32_t kSnaplen = 65535;
using Bytes = std::vector<std::byte>;

Bytes from_hex(const std::string& text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

const std::string kMacs = "020000000002020000000001";
const std::string kIpv4Udp = "4500002400010000401166c60a0000010a000002";
const std::string kUdpDns = "c350003500100000aabb01000001000000000000";

/// One frame of each kind that the expressions speak of.
std::vector<Bytes> frames() {
  const std::string ipv4 = "0800" + kIpv4Udp + kUdpDns;
  return {
      from_hex(kMacs + ipv4),
      from_hex(kMacs + "81000005" + ipv4),
      from_hex(kMacs + "88a8000581000006" + ipv4),
      from_hex(kMacs + "080045000028000140004006" + "26cc0a0000010a000002" + "c35000500000000100000000" +
               "5002ffff00000000" + "474554202f"),
      from_hex(kMacs + "0800450000240001000040018f9d0a0000010a000002" + "08000000000100010000000000000000"),
      from_hex(kMacs + "0806000108000604000102000000000102" + "0a00000100000000000a000002"),
      from_hex(kMacs + "86dd600000000010114" + "0fe800000000000000000000000000001fe800000000000000000000000000002" +
               kUdpDns),
      from_hex(kMacs + "86dd60000000001800" + "40fe800000000000000000000000000001fe800000000000000000000000000002" +
               "1100000000000000" + kUdpDns),
      from_hex(kMacs + "86dd600000000008" + "3aff" +
               "fe800000000000000000000000000001fe800000000000000000000000000002" + "8000000000010001"),
      from_hex(kMacs + "8847" + "00064140" + kIpv4Udp + kUdpDns),
      from_hex(kMacs + "8864" + "11000001002600" + "21" + kIpv4Udp + kUdpDns),
      from_hex("ffffffffffff020000000001" + ipv4),
      from_hex("0180c2000000020000000001" + std::string("0026") + "424203" + "0000000000"),
      {},
  };
}

void check_position(const std::string& expression, int64_t position, const std::string& words) {
  const auto result = compile_filter(expression, 1, kSnaplen);
  CAPTURE(expression);
  REQUIRE_FALSE(result);
  const Error& error = result.error();
  CAPTURE(error.message);
  CHECK(error.code == Code::kBadFilter);
  CHECK(error.position == position);
  CHECK(error.message.find(words) != std::string::npos);
  CHECK(error.message.find("\n  " + expression + "\n  " + std::string(static_cast<size_t>(position), ' ') + "^") !=
        std::string::npos);
}

}  // namespace

TEST_CASE("the library is loaded once, whoever asks first") {
  const LibPcap* first = nullptr;
  const LibPcap* second = nullptr;
  std::thread a([&] { first = libpcap(); });
  std::thread b([&] { second = libpcap(); });
  a.join();
  b.join();
  REQUIRE(first != nullptr);
  CHECK(first == second);
  CHECK(std::string(first->lib_version()).find("libpcap") != std::string::npos);
}

TEST_CASE("real expressions decide as in libpcap, on frames of every kind and mutations of them") {
  static_assert(std::size(test::kExpressions) >= 150);
  const test::ReferenceFilter reference;
  std::mt19937_64 random(20261121);
  const std::vector<Bytes> originals = frames();
  size_t matched_something = 0;
  for (const char* expression : test::kExpressions) {
    CAPTURE(expression);
    const auto program = compile_filter(expression, 1, kSnaplen);
    REQUIRE_MESSAGE(bool(program), program.error().message);
    REQUIRE(validate(*program));
    const FilterVm vm(*program);
    bool matched = false;
    for (int i = 0; i < 600; i++) {
      Bytes packet = originals[static_cast<size_t>(i) % originals.size()];
      if (i >= static_cast<int>(originals.size()) && !packet.empty()) {
        for (uint64_t changes = random() % 4; changes-- > 0;)
          packet[random() % packet.size()] = static_cast<std::byte>(random());
        if (random() % 3 == 0) packet.resize(random() % (packet.size() + 1));
      }
      const auto caplen = static_cast<uint32_t>(packet.size());
      const uint32_t ours = vm.run(packet.data(), caplen, caplen);
      const uint32_t theirs = reference.run(*program, packet, caplen);
      REQUIRE_MESSAGE(ours == theirs, "frame ", i, "\n", disassemble(*program));
      matched |= ours != 0;
    }
    matched_something += matched;
    for (size_t at = 0; at < program->size(); at++) {
      if ((*program)[at].code != 0x81) REQUIRE(disassemble((*program)[at], at) == reference.image(*program, at));
    }
  }
  CHECK(matched_something > 120);
}

TEST_CASE("protochain compiles to a loop, passes the validator and follows the headers") {
  const auto program = compile_filter("ip6 protochain 17", 1, kSnaplen);
  REQUIRE(program);
  CHECK(has_loop(*program));
  const Bytes behind_hop_by_hop = frames()[7];
  const auto size = static_cast<uint32_t>(behind_hop_by_hop.size());
  CHECK(FilterVm(*program).run(behind_hop_by_hop.data(), size, size) == kSnaplen);
}

TEST_CASE("an empty expression accepts everything") {
  for (const char* expression : {"", " ", "\t\n"}) {
    const auto program = compile_filter(expression, 1, 96);
    REQUIRE(program);
    CHECK(disassemble(*program) == "(000) ret      #96\n");
  }
}

TEST_CASE("accepted packets keep snaplen bytes") {
  const auto program = compile_filter("udp", 1, 96);
  REQUIRE(program);
  CHECK((*program)[program->size() - 2].k == 96);
}

TEST_CASE("a syntax error is shown at the token at which it goes wrong") {
  check_position("udp prot 53", 4, "syntax error");
  check_position("udp port 53 and and tcp", 16, "syntax error");
  check_position("udp )", 4, "syntax error");
  check_position("udp @ tcp", 4, "syntax error");
  check_position("tcp[tcpflag] & 2 != 0", 4, "syntax error");
  check_position("host 10.0.0.1 or (udp port 53 tcp)", 30, "syntax error");
  check_position("ip 6", 3, "syntax error");
}

TEST_CASE("an expression that ends too early is shown at its end") {
  check_position("udp port", 8, "syntax error");
  check_position("(udp", 4, "syntax error");
  check_position("ip[0", 4, "syntax error");
  check_position("tcp and", 7, "syntax error");
}

TEST_CASE("an expression that means nothing is shown at the word that libpcap names or stops at") {
  check_position("udp and port nosuchport", 13, "nosuchport");
  check_position("udp port 99999", 9, "99999");
  check_position("tcp or vlan 9999", 12, "9999");
  check_position("ip proto \\foo", 10, "foo");
}

TEST_CASE("an expression that is wrong as a whole is quoted without a caret") {
  const auto result = compile_filter("1 > 2", 1, kSnaplen);
  REQUIRE_FALSE(result);
  CHECK(result.error().position == -1);
  CHECK(result.error().message == "filter: expression rejects all packets: 1 > 2");
}

TEST_CASE("an expression with a NUL character is refused") {
  const auto result = compile_filter(std::string("udp\0 port 53", 12), 1, kSnaplen);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::kBadFilter);
  CHECK(result.error().position == 3);
}

TEST_CASE("the caret stands below the character in an expression with letters of several bytes") {
  const auto result = compile_filter("h\xc3\xb6st 1", 1, kSnaplen);
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find('^') != std::string::npos);
}

TEST_CASE("a filter compiles once for each link type and answers for link types that have other numbers in libpcap") {
  const auto filter = make_filter("udp port 53", kSnaplen);
  const auto ethernet = filter->program(1);
  const auto raw_ip = filter->program(101);
  const auto cooked = filter->program(113);
  REQUIRE(ethernet);
  REQUIRE_MESSAGE(bool(raw_ip), raw_ip.error().message);
  REQUIRE(cooked);
  CHECK(disassemble(**ethernet) != disassemble(**raw_ip));
  CHECK(*filter->program(1) == *ethernet);  // the same object
  const Bytes packet = from_hex(kIpv4Udp + kUdpDns);
  const auto size = static_cast<uint32_t>(packet.size());
  CHECK(FilterVm(**raw_ip).run(packet.data(), size, size) == kSnaplen);
}

TEST_CASE("an expression that a link type cannot answer is an error for that link type only") {
  const auto filter = make_filter("wlan host 02:00:00:00:00:01", kSnaplen);
  CHECK(filter->program(105));
  const auto raw_ip = filter->program(101);
  REQUIRE_FALSE(raw_ip);
  CHECK(raw_ip.error().code == Code::kBadFilter);
}

TEST_CASE("a given program is checked and used for every link type") {
  const auto good = make_filter(Program{{.code = 6, .k = 100}});
  REQUIRE(good->program(1));
  CHECK(*good->program(1) == *good->program(113));
  const auto bad = make_filter(Program{{.code = 0}});
  REQUIRE_FALSE(bad->program(1));
  CHECK(bad->program(1).error().position == 0);
}

TEST_CASE("filters compile on several threads at once") {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; i++) good += compile_filter(i % 2 == 0 ? "udp port 53" : "udp prot", 1, kSnaplen) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 100);
}

TEST_CASE("link types map there and back") {
  for (const int link_type : {0, 1, 9, 50, 101, 105, 113, 127, 276}) {
    CHECK(dlt_to_linktype(linktype_to_dlt(link_type)) == link_type);
  }
  CHECK(dlt_to_linktype(12) == 101);
  CHECK(dlt_to_linktype(276) == 276);
}
