#include <doctest/doctest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "backends/dpdk/module/joined.h"
#include "backends/dpdk/module/ring.h"

namespace ringtap::dpdk {

namespace {

constexpr uint32_t kSize = 256;
constexpr uint64_t kPackets = 400'000;

Packet packet_of(uint64_t number) {
  return {.offset = static_cast<uint32_t>(number * 3), .length = static_cast<uint32_t>(number % 1500)};
}

/// Stands for the buffer of a packet; nobody looks into it.
rte_mbuf* mbuf_of(uint64_t number) { return reinterpret_cast<rte_mbuf*>((number + 1) * 64); }

/// Every fifth packet is a joined one.
bool is_joined(uint64_t number) { return number % 5 == 0; }

/// Some of the others are passed on by their reader.
bool is_passed_on(uint64_t number) { return number % 7 == 3 && !is_joined(number); }

/// Every third burst says more of each packet.
bool has_extras(uint64_t burst) { return burst % 3 == 0; }

void push(PacketRing& ring, uint64_t number) {
  if (is_joined(number)) {
    ring.push_joined(packet_of(number), static_cast<uint32_t>(number));
  } else {
    ring.push(packet_of(number), mbuf_of(number));
  }
}

/// Takes back what was released. How many packets came in another order than they went in.
uint64_t reclaim(PacketRing& ring, uint64_t& reclaimed) {
  uint64_t wrong = 0;
  for (uint32_t left = ring.reclaimable(); left > 0;) {
    const auto back = ring.reclaim(left);
    left -= static_cast<uint32_t>(back.size());
    for (rte_mbuf* const& mbuf : back) {
      const bool right = is_joined(reclaimed)
                             ? mbuf == nullptr && ring.joined_bytes(&mbuf) == static_cast<uint32_t>(reclaimed)
                             : mbuf == mbuf_of(reclaimed);
      wrong += right ? 0 : 1;
      if (is_passed_on(reclaimed) && !ring.has_passed_on()) wrong++;
      if (mbuf != nullptr && ring.retrieve(&mbuf) != is_passed_on(reclaimed)) wrong++;
      reclaimed++;
    }
  }
  return wrong;
}

/// As the polling thread does: what was released comes back, a burst goes in, and is published.
uint64_t produce(PacketRing& ring) {
  uint64_t reclaimed = 0;
  uint64_t wrong = 0;
  uint64_t number = 0;
  for (uint64_t burst = 0; reclaimed < kPackets;) {
    wrong += reclaim(ring, reclaimed);
    const auto count = std::min<uint64_t>({ring.room(), 1 + burst % 64, kPackets - number});
    if (count == 0) {
      std::this_thread::yield();
      continue;
    }
    std::vector<Extra> extras;
    for (const uint64_t end = number + count; number < end; number++) {
      if (has_extras(burst))
        extras.push_back({.time_ns = 0, .keep = 0, .hash = static_cast<uint32_t>(number), .flags = 0});
      push(ring, number);
    }
    ring.publish({.time_ns = static_cast<int64_t>(burst), .queue = 0}, extras);
    burst++;
  }
  return wrong;
}

/// Reads the next packets, and checks them. How many are wrong.
uint64_t consume(PacketRing& ring, uint32_t most) {
  uint64_t number = ring.position();
  const PacketRing::Run run = ring.read(most);
  const bool extras = has_extras(static_cast<uint64_t>(run.burst.time_ns));
  const size_t count = run.packets.size();
  uint64_t wrong = count != 0 && count <= most && run.extras.size() == (extras ? count : 0) ? 0 : 1;
  for (size_t i = 0; i < count; i++, number++) {
    const Packet expected = packet_of(number);
    wrong += run.packets[i].offset != expected.offset || run.packets[i].length != expected.length;
    wrong += extras && run.extras[i].hash != static_cast<uint32_t>(number);
    wrong += ring.packet(number).offset != expected.offset;
    wrong += ring.owner(number) != (is_joined(number) ? nullptr : mbuf_of(number));
    if (!is_passed_on(number)) continue;
    ring.pass_on(number);
    wrong += ring.owner(number) != nullptr;  // once
  }
  return wrong;
}

}  // namespace

TEST_CASE("packets pass the ring between two threads once, whole and in order, and come back in that order") {
  PacketRing ring(kSize);
  uint64_t came_back_wrong = 0;
  std::thread producer([&] { came_back_wrong = produce(ring); });
  uint64_t wrong = 0;
  while (ring.position() < kPackets) {
    const uint64_t unread = ring.unread();
    wrong += unread > kSize;
    if (unread == 0) {
      ring.release_to(ring.position());
      std::this_thread::yield();
      continue;
    }
    // Batches end where bursts do not, and some are held until later.
    wrong += consume(ring, static_cast<uint32_t>(std::min<uint64_t>(unread, 100)));
    if (unread % 2 == 0) ring.release_to(ring.position());
  }
  ring.release_to(ring.position());
  producer.join();
  CHECK(wrong == 0);
  CHECK(came_back_wrong == 0);
  CHECK_FALSE(ring.holds_any());
}

TEST_CASE("a full ring takes nothing until something was released, and gives all back when its reader is gone") {
  PacketRing ring(4);
  for (uint64_t i = 0; i < 4; i++) push(ring, i);
  CHECK(ring.room() == 0);
  CHECK(ring.unread() == 0);
  ring.publish({.time_ns = 0, .queue = 0}, {});
  CHECK(ring.unread() == 4);
  ring.release_to(1);
  CHECK(ring.room() == 0);
  CHECK(ring.reclaimable() == 1);
  CHECK(ring.reclaim(1).size() == 1);
  CHECK(ring.room() == 1);
  ring.abandon();
  CHECK(ring.reclaimable() == 3);
  while (ring.holds_any()) ring.reclaim(ring.reclaimable());
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
