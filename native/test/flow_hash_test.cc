#include "decode/flow_hash.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>

#include "decode_frames.h"

using namespace ringtap;
using namespace ringtap::decode;

TEST_CASE("the flow hash is the same in both directions, and another for other ends and protocols") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 10'000; i++) {
    const auto a = static_cast<uint32_t>(random());
    const auto b = static_cast<uint32_t>(random());
    const auto p = static_cast<uint16_t>(random());
    const auto q = static_cast<uint16_t>(random());
    const uint64_t seed = random();
    const uint64_t there = flow_hash(flow_end4(a, p), flow_end4(b, q), 6, 4, seed);
    REQUIRE(there == flow_hash(flow_end4(b, q), flow_end4(a, p), 6, 4, seed));
    REQUIRE(there != flow_hash(flow_end4(a, p), flow_end4(b, q), 17, 4, seed));
    REQUIRE(there != flow_hash(flow_end4(a, p), flow_end4(b, q), 6, 6, seed));
    REQUIRE(there != flow_hash(flow_end4(a, q), flow_end4(b, p), 6, 4, seed));
    REQUIRE(there != flow_hash(flow_end4(a, p), flow_end4(b, q), 6, 4, seed + 1));
    std::array<std::byte, 32> addresses;
    for (std::byte& byte : addresses) byte = static_cast<std::byte>(random());
    const uint64_t there6 =
        flow_hash(flow_end6(&addresses[0], p, seed), flow_end6(&addresses[16], q, seed), 6, 6, seed);
    REQUIRE(there6 == flow_hash(flow_end6(&addresses[16], q, seed), flow_end6(&addresses[0], p, seed), 6, 6, seed));
    REQUIRE(there6 != flow_hash(flow_end6(&addresses[0], q, seed), flow_end6(&addresses[16], p, seed), 6, 6, seed));
  }
}

TEST_CASE("the flow hash of packets is the same in both directions") {
  const Headers there = decoded(ethernet("0800", ipv4(17, kUdpDatagram)));
  Frame back = ethernet("0800", ipv4(17, hex("0035 9c40 000c 0000 01020304")));
  std::swap_ranges(back.begin() + 26, back.begin() + 30, back.begin() + 30);
  CHECK(there.flow_hash == decoded(back).flow_hash);
  CHECK(there.flow_hash != 0);
  const Headers there6 = decoded(ethernet("86dd", ipv6(17, kUdpDatagram)));
  Frame back6 = ethernet("86dd", ipv6(17, hex("0035 9c40 000c 0000 01020304")));
  std::swap_ranges(back6.begin() + 22, back6.begin() + 38, back6.begin() + 38);
  CHECK(there6.flow_hash == decoded(back6).flow_hash);
  CHECK(decoded(ethernet("0806", hex("0001"))).flow_hash == 0);
}

TEST_CASE("flows that are numbered in sequence spread evenly over the buckets of a table, by low and by high bits") {
  constexpr uint32_t kBuckets = 1024;
  constexpr uint32_t kFlows = 1 << 18;
  const double expected = double{kFlows} / kBuckets;
  const auto is_even = [&](auto&& hash_of) {
    for (const uint32_t shift : {0u, 22u, 54u}) {
      std::vector<uint32_t> load(kBuckets);
      for (uint32_t i = 0; i < kFlows; i++) load[(hash_of(i) >> shift) % kBuckets]++;
      double chi = 0;
      for (const uint32_t found : load) chi += (found - expected) * (found - expected) / expected;
      // 1023 degrees of freedom: a mean of 1023, a deviation of 45.
      CAPTURE(shift);
      CHECK(chi > 1023 - 6 * 45);
      CHECK(chi < 1023 + 6 * 45);
    }
  };
  is_even([](uint32_t i) {  // one host after the other
    return flow_hash(flow_end4(0x0a000000 + i, 40000), flow_end4(0xc0a80001, 53), 17, 4);
  });
  is_even([](uint32_t i) {  // one port after the other
    return flow_hash(flow_end4(0x0a000001 + i / 60000, static_cast<uint16_t>(1024 + i % 60000)),
                     flow_end4(0xc0a80001, 443), 6, 4);
  });
  is_even([](uint32_t i) {
    std::array<std::byte, 16> address{std::byte{0x20}, std::byte{0x01}};
    for (size_t byte = 0; byte < 4; byte++) address[12 + byte] = static_cast<std::byte>(i >> (24 - 8 * byte));
    const std::array<std::byte, 16> other{std::byte{0xfe}, std::byte{0x80}};
    return flow_hash(flow_end6(address.data(), 40000), flow_end6(other.data(), 53), 17, 6);
  });
}
