#include "protocol/arp/arp.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

namespace {
constexpr std::string_view kReply = "0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002";
}

TEST_CASE("a reply is told as EVE has it") {
  const auto watcher = arp::kProtocol.watch();
  Told told;
  watcher->packet({.bytes = bytes_of(kReply)}, told);
  CHECK(told.lines()[0] ==
        R"(arp {"hw_type":"ethernet","proto_type":"ipv4","opcode":"reply","src_mac":"02:00:00:00:00:01",)"
        R"("src_ip":"10.0.0.1","dest_mac":"02:00:00:00:00:02","dest_ip":"10.0.0.2"})");
}

TEST_CASE("an address that moves to another hardware address says where it was") {
  const auto watcher = arp::kProtocol.watch();
  Told told;
  for (const std::string_view mac : {"020000000001", "020000000001", "0200000000ff"}) {
    watcher->packet({.bytes = bytes_of("0001 0800 06 04 0001 " + std::string(mac) + " 0a000001 000000000000 0a000001")},
                    told);
  }
  CHECK(told.lines()[1].find("was_mac") == std::string::npos);
  CHECK(told.lines()[2].find(R"("gratuitous":true,"was_mac":"02:00:00:00:00:01")") != std::string::npos);
}

TEST_CASE("what is cut, or has other lengths, is none") {
  const auto watcher = arp::kProtocol.watch();
  Told told;
  const auto whole = bytes_of(kReply);
  for (size_t size = 0; size < whole.size(); size++) watcher->packet({.bytes = Span(whole).first(size)}, told);
  watcher->packet({.bytes = bytes_of("0001 0800 ff 04 0002 020000000001 0a000001 020000000002 0a000002")}, told);
  CHECK(told.lines().empty());
}
