#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "backends/dpdk/module/joined.h"
#include "backends/dpdk/module/ring.h"

namespace ringtap::dpdk {

namespace {

constexpr uint32_t kSize = 256;
constexpr uint64_t kPackets = 400'000;

Entry entry_of(uint64_t number) {
  return {.time_ns = static_cast<int64_t>(number),
          .offset = static_cast<uint32_t>(number * 3),
          .length = static_cast<uint32_t>(number % 1500)};
}

/// As the polling thread does: what was released comes back, a burst goes in, and is published. How many came back in
/// another order than they went in.
uint64_t produce(PacketRing& ring) {
  uint64_t reclaimed = 0;
  uint64_t wrong = 0;
  for (uint64_t number = 0; reclaimed < kPackets;) {
    for (uint32_t left = ring.reclaimable(); left > 0; left--) {
      wrong += ring.reclaim().joined_bytes != static_cast<uint32_t>(reclaimed++);
    }
    const uint32_t room = ring.room();
    for (uint32_t i = 0; i < std::min<uint32_t>(room, 1 + number % 64) && number < kPackets; i++, number++) {
      ring.push(entry_of(number), {.mbuf = nullptr, .joined_bytes = static_cast<uint32_t>(number)});
    }
    ring.publish();
    if (room == 0) std::this_thread::yield();
  }
  return wrong;
}

}  // namespace

TEST_CASE("packets pass the ring between two threads once, whole and in order, and come back in that order") {
  PacketRing ring(kSize);
  uint64_t came_back_wrong = 0;
  std::thread producer([&] { came_back_wrong = produce(ring); });
  uint64_t position = 0;
  uint64_t wrong = 0;
  while (position < kPackets) {
    const uint64_t written = ring.written();
    if (written == position) {
      ring.release_to(position);
      std::this_thread::yield();
    }
    wrong += written - position > kSize;
    for (; position < written; position++) {
      const Entry& entry = ring.at(position);
      const Entry expected = entry_of(position);
      wrong += entry.time_ns != expected.time_ns || entry.offset != expected.offset || entry.length != expected.length;
    }
    // Some are held until later.
    if (written % 2 == 0) ring.release_to(position);
  }
  ring.release_to(position);
  producer.join();
  CHECK(wrong == 0);
  CHECK(came_back_wrong == 0);
  CHECK_FALSE(ring.holds_any());
}

TEST_CASE("a full ring takes nothing until something was released, and gives all back when its reader is gone") {
  PacketRing ring(4);
  for (uint64_t i = 0; i < 4; i++) ring.push(entry_of(i), {});
  CHECK(ring.room() == 0);
  CHECK(ring.written() == 0);
  ring.publish();
  CHECK(ring.written() == 4);
  ring.release_to(1);
  CHECK(ring.room() == 0);
  CHECK(ring.reclaimable() == 1);
  ring.reclaim();
  CHECK(ring.room() == 1);
  ring.abandon();
  CHECK(ring.reclaimable() == 3);
  while (ring.holds_any()) ring.reclaim();
  CHECK(ring.room() == 4);
}

TEST_CASE("joined packets lie one behind the other, never over its end, and none over another") {
  JoinedArea area(1000, 256);
  CHECK(area.take(100)->offset == 1000);  // 128 with the gap to the next line
  CHECK(area.take(1)->offset == 1128);
  CHECK_FALSE(area.take(65));
  area.give_back(128);
  const auto wrapped = area.take(128);
  REQUIRE(wrapped);
  CHECK(wrapped->offset == 1000);
  CHECK(wrapped->bytes == 192);  // the end, which was too short, goes with it
  CHECK_FALSE(area.take(1));
}

}  // namespace ringtap::dpdk
