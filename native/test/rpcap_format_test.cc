#include <doctest/doctest.h>

#include <random>
#include <set>
#include <vector>

#include "format/rpcap.h"

using namespace ringtap;
using Bytes = std::vector<std::byte>;

namespace {

constexpr uint32_t kMost = 262144;

void put(Bytes& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(value >> shift));
}

Bytes body_of(uint32_t number, uint32_t size) { return Bytes(size, static_cast<std::byte>(number * 7)); }

void put_packet(Bytes& out, uint32_t number, uint32_t size) {
  for (const uint32_t field : {1'700'000'000u, 5u, size, size + 3, number}) put(out, field);
  const Bytes body = body_of(number, size);
  out.insert(out.end(), body.begin(), body.end());
}

Bytes message(uint32_t number, uint32_t size, uint32_t claimed) {
  Bytes out;
  put(out, 7u << 16);
  put(out, claimed);
  put_packet(out, number, size);
  return out;
}

/// Packets of these sizes as datagrams of up to `most` bytes, and which packets each has a piece of.
struct Train {
  std::vector<Bytes> datagrams;
  std::vector<std::set<uint32_t>> packets;
};

Train train(const std::vector<uint32_t>& sizes, size_t most) {
  Train made;
  Bytes datagram(8);
  std::set<uint32_t> inside;
  size_t first = 0xffff;
  const auto send = [&] {
    Bytes head;
    put(head, 110u << 16 | static_cast<uint32_t>(first));
    put(head, static_cast<uint32_t>(made.datagrams.size()));
    std::copy(head.begin(), head.end(), datagram.begin());
    made.datagrams.push_back(datagram);
    made.packets.push_back(inside);
    datagram.resize(8);
    inside.clear();
    first = 0xffff;
  };
  for (uint32_t i = 0; i < sizes.size(); i++) {
    if (datagram.size() + 20 > most) send();
    if (first == 0xffff) first = datagram.size();
    Bytes packet;
    put_packet(packet, i + 1, sizes[i]);
    for (size_t at = 0; at < packet.size();) {
      if (datagram.size() == most) send();
      const size_t n = std::min(packet.size() - at, most - datagram.size());
      datagram.insert(datagram.end(), packet.begin() + static_cast<ptrdiff_t>(at),
                      packet.begin() + static_cast<ptrdiff_t>(at + n));
      inside.insert(i + 1);
      at += n;
    }
  }
  if (datagram.size() > 8) send();
  return made;
}

void check_whole(const rpcap::Packet& packet, const std::vector<uint32_t>& sizes) {
  REQUIRE(packet.number >= 1);
  REQUIRE(packet.number <= sizes.size());
  CHECK(packet.caplen == sizes[packet.number - 1]);
  CHECK(packet.wirelen == packet.caplen + 3);
  CHECK(packet.seconds == 1'700'000'000);
  CHECK(packet.micros == 5);
  CHECK(Bytes(packet.data, packet.data + packet.caplen) == body_of(packet.number, packet.caplen));
}

}  // namespace

TEST_CASE("a message is a packet once all of it is there, and until then says what it needs") {
  const Bytes whole = message(1, 60, 80);
  for (size_t n = 0; n < whole.size(); n++) {
    const rpcap::Message cut = rpcap::read_message({whole.data(), n}, kMost);
    CHECK(cut.kind == rpcap::Message::Kind::kCut);
    CHECK(cut.bytes > n);
    CHECK(cut.bytes <= whole.size());
  }
  const rpcap::Message read = rpcap::read_message(whole, kMost);
  REQUIRE(read.kind == rpcap::Message::Kind::kPacket);
  CHECK(read.bytes == whole.size());
  check_whole(read.packet, {60});
}

TEST_CASE("the length of a message may have lost its upper half, but may not lie otherwise") {
  CHECK(rpcap::read_message(message(1, 65549, (65549 + 20) & 0xffff), kMost).kind == rpcap::Message::Kind::kPacket);
  for (const uint32_t claimed : {0u, 19u, 79u, kMost + 21}) {
    CHECK(rpcap::read_message(message(1, 60, claimed), kMost).kind == rpcap::Message::Kind::kDamaged);
  }
  CHECK(rpcap::read_message(message(1, 61, 81), 60).kind == rpcap::Message::Kind::kDamaged);
}

TEST_CASE("numbers tell how many packets are missing, also where they begin anew") {
  rpcap::Numbers numbers(rpcap::Numbers::Way::kDatagrams, 0);
  CHECK(numbers.take(1));
  CHECK_FALSE(numbers.take(1));
  CHECK(numbers.take(5));
  CHECK_FALSE(numbers.take(3));
  CHECK(numbers.lost() == 3);
  rpcap::Numbers wraps(rpcap::Numbers::Way::kDatagrams, 0xfffffffe);
  CHECK(wraps.take(0xffffffff));
  CHECK(wraps.take(1));  // 0 did not come
  CHECK(wraps.lost() == 1);
}

TEST_CASE("one number far away is not believed, and hides nothing that follows") {
  for (const uint32_t forged : {0x7fffffffu, 0x80000000u, 0xffff0000u, 200'000u}) {
    rpcap::Numbers numbers(rpcap::Numbers::Way::kDatagrams, 0);
    for (uint32_t number = 1; number <= 1000; number++) {
      if (number == 500) CHECK_FALSE(numbers.take(forged));
      CHECK(numbers.take(number));
    }
    CHECK(numbers.lost() == 0);
  }
}

TEST_CASE("a sender that counts anew, or from far ahead, is followed from its second datagram on") {
  for (const uint32_t anew : {1u, 5'000'000u}) {
    rpcap::Numbers numbers(rpcap::Numbers::Way::kDatagrams, 1'000'000);
    CHECK(numbers.take(1'000'001));
    CHECK_FALSE(numbers.take(anew));
    for (uint32_t number = anew + 1; number < anew + 100; number++) CHECK(numbers.take(number));
    CHECK(numbers.lost() == (anew == 1 ? 1 : 5'000'000 - 1'000'001));
  }
}

TEST_CASE("a stream loses nothing, whatever its numbers are") {
  rpcap::Numbers numbers(rpcap::Numbers::Way::kStream, 0);
  for (const uint32_t number : {0u, 0u, 1u, 2u, 1u, 2u}) CHECK(numbers.take(number));
  CHECK(numbers.lost() == 0);
  CHECK(numbers.take(5));
  CHECK(numbers.lost() == 2);
}

TEST_CASE("of a stream what comes late is not lost any more, and a sender that counts anew is followed") {
  rpcap::Numbers numbers(rpcap::Numbers::Way::kStream, 0);
  for (const uint32_t number : {5u, 6u, 3u, 4u, 100u, 1u, 2u}) CHECK(numbers.take(number));
  CHECK(numbers.lost() == 93);
  rpcap::Numbers anew(rpcap::Numbers::Way::kStream, 0);
  for (const uint32_t number : {1'000'000u, 1u, 2u, 5u}) CHECK(anew.take(number));
  CHECK(anew.lost() == 999'999 + 2);
}

TEST_CASE("a message that is too short for a packet is told by its length, where no packet of 64 KiB was asked for") {
  const Bytes shorter = message(1, 0, 8);
  const auto kind = [&](size_t bytes, uint32_t asked) {
    return rpcap::read_message({shorter.data(), bytes}, kMost, asked).kind;
  };
  CHECK(kind(16, 65'523) == rpcap::Message::Kind::kDamaged);
  CHECK(kind(16, 65'524) == rpcap::Message::Kind::kCut);  // its length would be written as 8
  CHECK(kind(20, kMost) == rpcap::Message::Kind::kDamaged);
  const Bytes longest = message(1, 65'524, 8);
  CHECK(rpcap::read_message({longest.data(), 20}, kMost).kind == rpcap::Message::Kind::kCut);
  CHECK(rpcap::read_message(longest, kMost).kind == rpcap::Message::Kind::kPacket);
}

TEST_CASE("of udpstr exactly the packets are lost that a lost datagram has a piece of") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; round++) {
    std::vector<uint32_t> sizes(1 + random() % 60);
    for (uint32_t& size : sizes) size = random() % (round % 2 == 0 ? 100 : 5000);
    const Train made = train(sizes, 200 + random() % 1400);
    std::set<uint32_t> kept;
    for (uint32_t number = 1; number <= sizes.size(); number++) kept.insert(number);
    rpcap::DatagramReader reader(kMost);
    std::vector<uint32_t> got;
    uint64_t lost = 0;
    uint64_t twice = 0;
    for (size_t i = 0; i < made.datagrams.size(); i++) {
      if (random() % 5 == 0) {
        for (const uint32_t number : made.packets[i]) kept.erase(number);
        lost += i + 1 < made.datagrams.size() ? 1 : 0;  // the last one nobody misses
        continue;
      }
      for (int copies = random() % 8 == 0 ? 2 : 1; copies > 0; copies--) {
        reader.begin(made.datagrams[i]);
        twice += copies == 1 ? 0 : 1;
        rpcap::Packet packet;
        while (reader.next(packet)) {
          check_whole(packet, sizes);
          got.push_back(packet.number);
        }
      }
    }
    CHECK(got == std::vector<uint32_t>(kept.begin(), kept.end()));
    CHECK(reader.counters().lost <= lost);
    CHECK(reader.counters().late == twice);
    CHECK(reader.counters().damaged == 0);
  }
}
