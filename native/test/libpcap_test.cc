#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <iterator>
#include <optional>
#include <random>
#include <thread>

#include "filter/opcodes.h"
#include "filter/text.h"
#include "filter/validate.h"
#include "filter/vm.h"
#include "libpcap/compile.h"
#include "libpcap/library.h"
#include "libpcap/link_type.h"
#include "libpcap/split.h"
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

/// What libpcap makes of the whole at once; nothing if it proves that nothing matches.
std::optional<Program> at_once(const std::string& expression, int optimize) {
  const LibPcap& library = *libpcap();
  pcap_t* handle = library.open_dead(1, static_cast<int>(kSnaplen));
  PcapProgram compiled{};
  if (library.compile(handle, &compiled, expression.c_str(), optimize, kPcapNetmaskUnknown) != 0) {
    const std::string words = library.geterr(handle);
    library.close(handle);
    REQUIRE(words == "expression rejects all packets");
    return std::nullopt;
  }
  Program program(compiled.instructions, compiled.instructions + compiled.length);
  library.freecode(&compiled);
  library.close(handle);
  return program;
}

uint32_t decide(const Program& program, const Bytes& packet) {
  const auto size = static_cast<uint32_t>(packet.size());
  return FilterVm(program).run(packet.data(), size, size);
}

std::string joined(const std::vector<std::string>& terms, const std::string& link) {
  std::string text;
  for (const std::string& term : terms) text += (text.empty() ? "" : link) + term;
  return text;
}

std::string address(uint32_t i) {
  return "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255);
}

Bytes udp_to(uint32_t last_three_bytes, uint16_t port = 53) {
  Bytes packet = from_hex(kMacs + "0800" + kIpv4Udp + kUdpDns);
  for (size_t i = 0; i < 3; i++) packet[31 + i] = static_cast<std::byte>(last_three_bytes >> 8 * (2 - i));
  packet[36] = static_cast<std::byte>(port >> 8);
  packet[37] = static_cast<std::byte>(port);
  return packet;
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

TEST_CASE("thousands of hosts compile at once and match what they name, and nothing else") {
  std::vector<std::string> hosts;
  for (uint32_t i = 0; i < 5000; i++) hosts.push_back("host " + address(2 * i));
  std::vector<std::string> short_form;
  for (uint32_t i = 0; i < 5000; i++) short_form.push_back(address(2 * i));
  for (const std::string& expression :
       {joined(hosts, " or "), "udp and (" + joined(hosts, " or ") + ")",
        "src or dst host " + joined(short_form, " or "), "not (not (" + joined(hosts, " || ") + "))"}) {
    CAPTURE(expression.substr(0, 60));
    const auto begin = std::chrono::steady_clock::now();
    const auto program = compile_filter(expression, 1, kSnaplen);
    REQUIRE_MESSAGE(bool(program), program.error().message);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));  // libpcap alone: not within minutes
    CHECK(program->size() < 30'000);
    const FilterVm vm(*program);
    for (const uint32_t i : {2u, 100u, 4998u, 9996u, 9998u, 1u, 3u, 4999u, 9999u, 10'000u, 70'000u}) {
      const Bytes packet = udp_to(i);
      const auto size = static_cast<uint32_t>(packet.size());
      CHECK(vm.run(packet.data(), size, size) == (i % 2 == 0 && i < 10'000 ? kSnaplen : 0));
    }
  }
}

TEST_CASE("a long expression that is compiled in parts decides as libpcap compiles the whole") {
  std::mt19937 random(5);
  const auto pick = [&](size_t below) { return static_cast<size_t>(random() % below); };
  const char* const terms[] = {"udp", "tcp port 80", "port 53", "src host 10.0.0.1", "host 10.0.0.2", "ip6", "arp",
                               "net 10.0.0.0/8", "ether host 02:00:00:00:00:01", "ip[8] = 64", "src or dst port 50000",
                               "port domain", "not icmp", "less 60", "ip proto 17", "portrange 50-60",
                               "dst net 192.168.0.0 mask 255.255.0.0", "1 > 2",
                               // These do not mean the same behind `and`.
                               "udp port 53 or 80", "host 10.0.0.1 or 10.0.0.9 or 10.0.0.2"};
  // Without the frame of no bytes: what is loaded first, and so rejects it, is up to the optimizer.
  std::vector<Bytes> originals = frames();
  originals.pop_back();
  size_t divided = 0;
  for (int round = 0; round < 60; round++) {
    // Groups within groups, of one link or several.
    std::string expression;
    size_t open = 0;
    const bool mixed = round % 2 == 0;
    for (int i = 0; i < 90; i++) {
      if (i > 0) expression += mixed && pick(8) == 0 ? " and " : " or ";
      if (pick(6) == 0) expression += "not ";
      if (pick(5) == 0) {
        expression += "(";
        open++;
      }
      expression += terms[pick(std::size(terms) - (mixed ? 2 : 0))];
      if (open > 0 && pick(4) == 0) {
        expression += ")";
        open--;
      }
    }
    expression += std::string(open, ')');
    CAPTURE(expression);
    const auto program = compile_filter(expression, 1, kSnaplen);
    if (!program) {
      CAPTURE(program.error().message);
      CHECK(program.error().message.find("rejects all") != std::string::npos);
      continue;
    }
    const auto whole = at_once(expression, 0);
    if (!whole) continue;
    divided += *program != at_once(expression, 1) && *program != *whole;
    const FilterVm ours(*program);
    REQUIRE(validate(*whole, bpf::kMostInstructions));
    const FilterVm theirs(*whole);
    for (const Bytes& packet : originals) {
      const auto size = static_cast<uint32_t>(packet.size());
      REQUIRE(ours.run(packet.data(), size, size) == theirs.run(packet.data(), size, size));
    }
  }
  CHECK(divided > 20);
}

TEST_CASE("parentheses around nothing are left for libpcap to refuse") {
  const std::string text = "not ( )";
  const Part whole = split(text, 1);
  REQUIRE(whole.parts.size() == 1);
  const Part& inner = whole.parts[0];
  CHECK(inner.kind == Part::Kind::kLeaf);
  CHECK(text.substr(inner.begin, inner.end - inner.begin) == "( )");
}

TEST_CASE("what cannot be divided is refused by its length at once, with the limit and what to do") {
  std::vector<std::string> hosts;
  for (uint32_t i = 0; i < 3000; i++) hosts.push_back("host " + address(i));
  const auto begin = std::chrono::steady_clock::now();
  const auto program = compile_filter("vlan and (" + joined(hosts, " or ") + ")", 1, kSnaplen);
  REQUIRE_FALSE(program);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  CHECK(program.error().code == Code::kBadFilter);
  CHECK(program.error().message.find("9003 words") != std::string::npos);
  CHECK(program.error().message.find("768") != std::string::npos);
  CHECK(program.error().message.size() < 1000);
  CHECK(program.error().hint.find("or") != std::string::npos);
}

TEST_CASE("an expression of any size or depth is answered and takes no thread down") {
  const auto begin = std::chrono::steady_clock::now();
  const auto refused = [](const std::string& expression) {
    const auto program = compile_filter(expression, 1, kSnaplen);
    CAPTURE(expression.substr(0, 40));
    REQUIRE_FALSE(program);
    CHECK(program.error().code == Code::kBadFilter);
    CHECK(program.error().message.size() < 20'000);
  };
  const auto repeated = [](const std::string& text, int times) {
    std::string result;
    for (int i = 0; i < times; i++) result += text;
    return result;
  };
  refused(std::string((1 << 20) + 1, ' ') + "udp");
  refused(std::string(100'000, '(') + "udp" + std::string(100'000, ')'));
  refused(repeated("not ", 50'000) + "udp");
  refused("ip[0] = " + repeated("1 + ", 50'000) + "1");
  refused(std::string(300'000, 'x'));
  refused(repeated("udp and ", 40'000));
  refused(repeated("host 10.0.0.1 or ", 300) + "prot 53");
  for (int depth = 1; depth < 700; depth *= 2) {
    const std::string nested =
        std::string(static_cast<size_t>(depth) / 2, '(') + "udp" + std::string(static_cast<size_t>(depth) / 2, ')');
    CHECK(compile_filter(nested, 1, kSnaplen));
  }
  CHECK(compile_filter(repeated("not ", 600) + "udp", 1, kSnaplen));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

TEST_CASE("an error in a part of a long expression is shown in its part, at its place in the whole") {
  std::string before;
  for (uint32_t i = 0; i < 300; i++) before += "host " + address(i) + " or ";
  const auto program = compile_filter(before + "udp port nosuchport or arp", 1, kSnaplen);
  REQUIRE_FALSE(program);
  CHECK(program.error().position == static_cast<int64_t>(before.size() + std::strlen("udp port ")));
  CHECK(program.error().message.find("nosuchport") != std::string::npos);
  CHECK(program.error().message.find('^') != std::string::npos);
}

TEST_CASE("who gives up a filter is not kept, nor is anybody else") {
  // Half a second of libpcap's time, and more on a busy machine.
  std::vector<std::string> ranges;
  for (uint32_t i = 0; i < 120; i++) {
    ranges.push_back("portrange " + std::to_string(i * 10 + 1) + "-" + std::to_string(i * 10 + 5));
  }
  const std::string slow = "mpls or (" + joined(ranges, " or ") + ")";
  auto cancelled = std::make_shared<std::atomic<bool>>(true);
  const auto given_up = compile_filter(slow, 1, kSnaplen, cancelled);
  REQUIRE_FALSE(given_up);
  CHECK(given_up.error().code == Code::kClosed);
  CHECK(make_filter(slow, kSnaplen, cancelled)->program(1).error().code == Code::kClosed);
  // Meanwhile others come first: were there a queue, this would be the last.
  std::atomic<bool> slow_is_done{false};
  std::thread waiting([&] {
    CHECK(compile_filter(slow, 1, kSnaplen));
    slow_is_done = true;
  });
  for (int i = 0; i < 5; i++) CHECK(compile_filter("udp port 53", 1, kSnaplen));
  CHECK_FALSE(slow_is_done);
  waiting.join();
}

TEST_CASE("on the event loop's thread a filter is asked for again until it is there") {
  std::vector<std::string> ranges;
  for (uint32_t i = 0; i < 60; i++) {
    ranges.push_back("portrange " + std::to_string(i * 10 + 1) + "-" + std::to_string(i * 10 + 5));
  }
  const auto filter = make_filter(joined(ranges, " or "), kSnaplen);
  int asked = 0;
  for (;;) {
    asked++;
    const auto program = filter->program_soon(1);
    REQUIRE(program);
    if (*program != nullptr) break;
  }
  CHECK(asked > 1);
  CHECK(*filter->program_soon(1) == *filter->program(1));
  const auto wrong = make_filter("udp prot", kSnaplen);
  for (;;) {
    const auto program = wrong->program_soon(1);
    if (!program) break;
    REQUIRE(*program == nullptr);
  }
}

TEST_CASE("a libpcap whose compiler has globals compiles one filter at a time") {
  CHECK(compiles_in_parallel("libpcap version 1.10.3 (with TPACKET_V3)"));
  CHECK(compiles_in_parallel("libpcap version 1.8.1"));
  CHECK(compiles_in_parallel("Npcap version 1.79, based on libpcap version 1.10.4"));
  CHECK(compiles_in_parallel("libpcap version 2.0-PRE-GIT"));
  CHECK_FALSE(compiles_in_parallel("libpcap version 1.7.4"));
  CHECK_FALSE(compiles_in_parallel("libpcap version 0.9.8"));
  CHECK_FALSE(compiles_in_parallel("something else"));
}

TEST_CASE("a file's loopback headers are read in the byte order of its host, with every BSD's number for IPv6") {
  constexpr auto kFile = FilterTarget::Place::kFile;
  for (const bool big : {false, true}) {
    for (const int link_type : {0, 108}) {
      CAPTURE(link_type);
      CAPTURE(big);
      const bool network_order = big || link_type == 108;
      const auto header = [&](uint8_t family) {
        Bytes packet(4 + 60);
        packet[network_order ? 3 : 0] = std::byte{family};
        return packet;
      };
      const auto ip = compile_filter("ip", {link_type, kFile, big}, kSnaplen);
      const auto ip6 = compile_filter("ip6", {link_type, kFile, big}, kSnaplen);
      REQUIRE(ip);
      REQUIRE(ip6);
      CHECK(decide(*ip, header(2)) == kSnaplen);
      CHECK(decide(*ip, header(24)) == 0);
      for (const uint8_t family : {24, 28, 30}) CHECK(decide(*ip6, header(family)) == kSnaplen);
      for (const uint8_t family : {2, 10}) CHECK(decide(*ip6, header(family)) == 0);
    }
  }
}

TEST_CASE("which way a packet went and its interface are asked only where they are known") {
  using Place = FilterTarget::Place;
  for (const char* expression : {"inbound", "outbound", "not inbound and udp", "ifindex 3"}) {
    CAPTURE(expression);
    CHECK(compile_filter(expression, {1, Place::kPacketSocket}, kSnaplen));
    const auto bytes = compile_filter(expression, {1, Place::kBytes}, kSnaplen);
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error().code == Code::kBadFilter);
    CHECK(bytes.error().message.find(expression) != std::string::npos);
    CHECK_FALSE(bytes.error().hint.empty());
    const auto file = compile_filter(expression, {1, Place::kFile}, kSnaplen);
    REQUIRE_FALSE(file);
    CHECK(file.error().code == Code::kBadFilter);
    // Where the header says so, everybody knows.
    CHECK(compile_filter(expression, {276, Place::kFile}, kSnaplen));
    CHECK(compile_filter(expression, {276, Place::kBytes}, kSnaplen));
  }
}

TEST_CASE("a given program may ask what the place knows, and finds no tag beside the bytes that hold it") {
  using Place = FilterTarget::Place;
  using namespace bpf;
  constexpr BpfInsn kAccept{.code = kRet | kK, .k = 100};
  const auto reading = [&](uint32_t offset) {
    return make_filter(Program{kAccept, {.code = kLd | kB | kAbs, .k = offset}, kAccept});
  };
  for (const uint32_t offset : {kPacketType, kInterfaceIndex}) {
    CHECK(reading(offset)->program({1, Place::kPacketSocket}));
    for (const Place place : {Place::kBytes, Place::kFile}) {
      const auto refused = reading(offset)->program({1, place});
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == Code::kBadFilter);
      CHECK(refused.error().position == 1);
    }
  }
  for (const uint32_t offset : {0xfffff024u, 0xfff00000u, 0xffe00000u}) {  // the CPU, behind the headers, before them
    CHECK_FALSE(reading(offset)->program({1, Place::kPacketSocket}));
  }
  for (const uint32_t offset : {kVlanTag, kVlanTagPresent, kVlanProtocol}) {
    const auto filter = reading(offset);
    const auto program = filter->program(1);
    REQUIRE(program);
    CHECK((**program)[1] == BpfInsn{.code = kLd | kImm});
  }
}

TEST_CASE("link types map there and back") {
  for (const int link_type : {0, 1, 9, 50, 101, 105, 113, 127, 276}) {
    CHECK(dlt_to_linktype(linktype_to_dlt(link_type)) == link_type);
  }
  CHECK(dlt_to_linktype(12) == 101);
  CHECK(dlt_to_linktype(276) == 276);
}
