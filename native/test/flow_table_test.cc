// The table under load: room, eviction, collisions.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "flow_frames.h"

using namespace ringtap;
using namespace ringtap::flow;

namespace {

Key key4(uint32_t source, uint16_t port) {
  Key key;
  make_key4(source, port, 0x7f000001, 53, {.protocol = 17}, key);
  return key;
}

}  // namespace

TEST_CASE("an index finds what is in it and nothing else, however much goes in and out") {
  auto index = *Index::make(4096);
  std::map<uint32_t, uint64_t> model;
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; i++) {
    const auto flow = static_cast<uint32_t>(random() % 20'000);
    if (model.contains(flow)) {
      index.erase(model[flow], flow);
      model.erase(flow);
    } else {
      // Few distinct tags, so that runs are long and cross the end.
      const uint64_t hash = (random() % 3000 + 0xfffffc00) << 32;
      if (model.size() < 3000) {
        REQUIRE(index.insert(hash, flow));
        model[flow] = hash;
      }
    }
  }
  for (const auto& [flow, hash] : model) {
    REQUIRE(index.find(hash, [&, wanted = flow](uint32_t at) { return at == wanted; }) == flow);
  }
  CHECK(index.find(uint64_t{50000} << 32, [](uint32_t) { return true; }) == kNoFlow);
}

TEST_CASE("a full table evicts what has been idle longest, and tells it") {
  const auto meter = meter_of({.limits = {.most_flows = 100}});
  std::vector<Timed> packets;
  for (uint16_t port = 1; port <= 100; port++) {
    packets.push_back({port * kSecond / 10, ether4(packet4({}, udp(port, 9)))});
  }
  packets.push_back({10 * kSecond + 1, ether4(packet4({}, udp(1, 9)))});  // the first one is heard of again
  packets.push_back({10 * kSecond + 2, ether4(packet4({}, udp(500, 9)))});
  meter->add(Held(packets).batch);
  const auto records = Drained(*meter).rows;
  REQUIRE(records.size() == 1);
  CHECK(records[0].ended == Ended::kEvicted);
  CHECK(records[0].src_port >= 2);
  CHECK(records[0].src_port <= 4);  // to the tick of a quarter of a second
  CHECK(meter->table().active() == 100);
  CHECK(is_balanced(*meter));
}

TEST_CASE("a flood of flows keeps the table at its size, and a busy flow in it") {
  const auto meter = meter_of({.limits = {.most_flows = 1000}});
  uint64_t busy = 0;
  for (int64_t ms = 0; ms < 100'000; ms += 100) {
    std::vector<Timed> packets = {{ms * 1'000'000, ether4(packet4({.source = 1}, udp(7, 7)))}};
    for (uint32_t i = 0; i < 30; i++) {
      packets.push_back(
          {ms * 1'000'000 + i, ether4(packet4({.source = static_cast<uint32_t>(ms * 1000) + i}, udp(1, 2)))});
    }
    meter->add(Held(packets).batch);
  }
  CHECK(meter->table().active() == 1000);
  CHECK(meter->table().bytes() <= 1000 * 250 + 65'536);
  meter->flush();
  for (const auto& each : Drained(*meter).rows) {
    if (each.src_port != 7) continue;
    CHECK(each.ended != Ended::kEvicted);
    busy += each.packets[0];
  }
  CHECK(busy == 1000);
  CHECK(meter->table().counts().records[static_cast<size_t>(Ended::kEvicted)] > 20'000);
  CHECK(is_balanced(*meter));
}

TEST_CASE("keys made to collide under a hash without a key do not under ours") {
  auto table = *Table::make({}, random_hash_key(), Factors{1}, 1);
  // Addresses whose low half cancels the constant that flow_hash() multiplies with: all of them are one to it.
  std::byte addresses[32] = {};
  store(addresses + 8, swap_bytes(decode::hashing::kPi[3]));
  store(addresses + 24, swap_bytes(decode::hashing::kPi[3]));
  uint64_t first = 0;
  for (uint32_t i = 0; i < 50'000; i++) {
    store(addresses, uint64_t{i} << 32);
    const uint64_t plain =
        decode::flow_hash(decode::flow_end6(addresses, 1, 99), decode::flow_end6(addresses + 16, 2, 99), 17, 6, 99);
    if (i == 0) first = plain;
    REQUIRE(plain == first);
    Key key;
    make_key6(addresses, 1, 2, {.protocol = 17, .version = 6}, key);
    REQUIRE(table->create(key, table->hash(key), 0) != kNoFlow);
  }
  CHECK(table->longest_run() < 100);
}

TEST_CASE("keys made to collide under one meter's hash do not under another's") {
  const std::array<uint64_t, 8> known{1, 2, 3, 4, 5, 6, 7, 8};
  const KeyedHash known_hash(known);
  std::vector<Key> aimed;
  for (uint32_t i = 0; aimed.size() < 2000; i++) {
    const Key key = key4(i, static_cast<uint16_t>(i * 7));
    if ((known_hash(key) >> 32 & 0xfff) == 0) aimed.push_back(key);
  }
  const auto longest = [&](const std::array<uint64_t, 8>& hash_key) {
    auto table = *Table::make({}, hash_key, Factors{1}, 1);
    for (const Key& key : aimed) table->create(key, table->hash(key), 0);
    return table->longest_run();
  };
  CHECK(longest(known) >= 1000);
  CHECK(longest(random_hash_key()) < 100);
}

TEST_CASE("a hash of random keys fills all places alike") {
  const KeyedHash hash(random_hash_key());
  std::vector<uint32_t> buckets(1024);
  for (uint32_t i = 0; i < 1024 * 100; i++) buckets[hash(key4(i, 80)) >> 32 & 1023]++;
  double chi = 0;
  for (const uint32_t each : buckets) chi += (each - 100.0) * (each - 100.0) / 100;
  CHECK(chi < 1400);  // 1023 degrees of freedom: 1200 is one in ten thousand
}

TEST_CASE("records that nobody drains are bounded, and those beyond are counted") {
  const auto meter = meter_of({.limits = {.most_flows = 10, .most_records = 5000}});
  for (uint32_t i = 0; i < 20'000; i += 1000) {
    std::vector<Timed> packets;
    for (uint32_t k = 0; k < 1000; k++) packets.push_back({1, ether4(packet4({.source = i + k}, udp(1, 2)))});
    meter->add(Held(packets).batch);
  }
  meter->flush();
  const Records& records = meter->table().records();
  CHECK(records.waiting() == 5000);
  CHECK(records.lost() == 15'000);
  CHECK(is_balanced(*meter));
  const auto rows = Drained(*meter).rows;
  REQUIRE(rows.size() == 5000);
  CHECK(records.waiting() == 0);
}

TEST_CASE("a million flows take at most 250 bytes each") {
  const auto meter = meter_of();
  for (uint32_t i = 0; i < 1'000'000; i += 1000) {
    std::vector<Timed> packets;
    for (uint32_t k = 0; k < 1000; k++) packets.push_back({1, ether4(packet4({.source = i + k}, udp(1, 2)))});
    meter->add(Held(packets).batch);
  }
  REQUIRE(meter->table().active() == 1'000'000);
  CHECK(meter->table().bytes() <= 250'000'000);
}
