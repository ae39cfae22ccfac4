#include "protocol/icmp/icmp.h"

#include <doctest/doctest.h>

#include "protocol/told.h"

using namespace ringtap::protocol;

TEST_CASE("an echo is told with how long its answer took") {
  const auto watcher = icmp::kProtocol.watch();
  Told told;
  told.set_now(1'000'000'000);
  watcher->packet({.bytes = bytes_of("08 00 0000 1234 0001 'abcd'"), .ip_version = 4}, told);
  told.set_now(1'000'250'000);
  watcher->packet({.bytes = bytes_of("00 00 0000 1234 0001 'abcd'"), .ip_version = 4}, told);
  CHECK(told.lines()[0] == R"(icmp {"type":8,"code":0,"name":"echo_request","id":4660,"seq":1,"bytes":4})");
  CHECK(told.lines()[1] == R"(icmp {"type":0,"code":0,"name":"echo_reply","id":4660,"seq":1,"bytes":4,"rtt_us":250})");
}

TEST_CASE("an error tells of the packet that it quotes") {
  const auto watcher = icmp::kProtocol.watch();
  Told told;
  watcher->packet(
      {.bytes = bytes_of("03 03 0000 00000000 4500001c00000000 4011 0000 0a000001 0a000002 9c40 0035 0008 0000"),
       .ip_version = 4},
      told);
  CHECK(told.lines()[0] ==
        R"(icmp {"type":3,"code":3,"name":"port_unreachable","about":{"src_ip":"10.0.0.1","src_port":40000,)"
        R"("dest_ip":"10.0.0.2","dest_port":53,"proto":17}})");
}

TEST_CASE("a neighbour has a target and a hardware address") {
  const auto watcher = icmp::kProtocol.watch();
  Told told;
  watcher->packet(
      {.bytes = bytes_of("88 00 0000 60000000 20010db8000000000000000000000001 02 01 020000000001"), .ip_version = 6},
      told);
  CHECK(told.lines()[0] == R"(icmp {"type":136,"code":0,"name":"neighbour_advertisement","target":"2001:db8::1",)"
                           R"("mac":"02:00:00:00:00:01"})");
}
