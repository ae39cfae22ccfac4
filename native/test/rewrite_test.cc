// Edits of frames, and the checksums that follow.
#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/byte_order.h"
#include "core/checksum.h"
#include "decode/decode.h"
#include "rewrite/edits.h"

using namespace ringtap;
using namespace ringtap::rewrite;

namespace {

using Bytes = std::vector<std::byte>;

uint16_t at16(std::span<const std::byte> bytes, size_t at) { return load_big<uint16_t>(bytes.data() + at); }

size_t sum_offset(uint8_t protocol) { return protocol == 6 ? 16 : protocol == 58 ? 2 : 6; }

std::span<std::byte> l4_of(std::span<std::byte> frame) {
  const auto headers = decode::decode_packet(frame, static_cast<uint32_t>(frame.size()), 1);
  return frame.subspan(headers.transport_offset);
}

uint64_t pseudo(std::span<std::byte> frame) {
  const auto headers = decode::decode_packet(frame, static_cast<uint32_t>(frame.size()), 1);
  const auto addresses =
      headers.ip_version == 4 ? frame.subspan(headers.network_offset + 12, 8) : frame.subspan(headers.addresses6, 32);
  return checksum::pseudo_header(addresses, headers.protocol, static_cast<uint32_t>(l4_of(frame).size()));
}

/// What the checksum in the frame should be.
uint16_t wanted(std::span<std::byte> frame) {
  Bytes copy(frame.begin(), frame.end());
  const auto headers = decode::decode_packet(copy, static_cast<uint32_t>(copy.size()), 1);
  const auto l4 = l4_of(copy);
  store_big(l4.data() + sum_offset(headers.protocol), uint16_t{0});
  return checksum::of(pseudo(copy) + checksum::sum(l4));
}

bool ip_is_right(std::span<const std::byte> frame, size_t network) {
  return checksum::fold(checksum::sum(frame.subspan(network, 20))) == 0xffff;
}

Bytes make(bool is_v6, uint8_t protocol, size_t payload, std::mt19937& random, bool partial = false) {
  const size_t header = protocol == 6 ? 20 : 8;
  const size_t ip = is_v6 ? 40 : 20;
  Bytes frame(14 + ip + header + payload);
  for (auto& byte : frame) byte = static_cast<std::byte>(random());
  store_big(frame.data() + 12, static_cast<uint16_t>(is_v6 ? 0x86dd : 0x0800));
  std::byte* at = frame.data() + 14;
  if (is_v6) {
    store_big(at, uint32_t{0x60000000});
    store_big(at + 4, static_cast<uint16_t>(header + payload));
    at[6] = static_cast<std::byte>(protocol);
    at[7] = std::byte{64};
  } else {
    at[0] = std::byte{0x45};
    at[1] = std::byte{3};
    store_big(at + 2, static_cast<uint16_t>(20 + header + payload));
    store_big(at + 6, uint16_t{0x4000});
    at[8] = std::byte{64};
    at[9] = static_cast<std::byte>(protocol);
    store_big(at + 10, uint16_t{0});
    store_big(at + 10, checksum::of(checksum::sum(std::span(frame).subspan(14, 20))));
  }
  std::byte* l4 = at + ip;
  if (protocol == 6) l4[12] = std::byte{0x50};
  if (protocol == 17) store_big(l4 + 4, static_cast<uint16_t>(8 + payload));
  const uint16_t sum = partial ? checksum::fold(pseudo(frame)) : wanted(frame);
  store_big(l4 + sum_offset(protocol), sum == 0 && protocol == 17 ? uint16_t{0xffff} : sum);
  return frame;
}

Bytes edited(const Edits& edits, const Bytes& frame, uint32_t wirelen = 0) {
  Bytes room(kHeadroom + frame.size());
  std::copy(frame.begin(), frame.end(), room.begin() + kHeadroom);
  const auto after = apply(edits, room, wirelen == 0 ? static_cast<uint32_t>(frame.size()) : wirelen);
  CHECK(after.data() + after.size() == room.data() + room.size());
  return {after.begin(), after.end()};
}

Network network(std::initializer_list<int> address, uint8_t bits) {
  Network made{.is_v6 = address.size() == 16, .bits = bits};
  size_t i = 0;
  for (const int byte : address) made.address[i++] = static_cast<std::byte>(byte);
  return made;
}

Edits everything() {
  Edits edits;
  edits.addresses = {{network({0, 0, 0, 0}, 0), network({10, 77, 0, 0}, 16)},
                     {network({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0),
                      network({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 35)}};
  edits.src_port = 1234;
  edits.dst_port = 53;
  edits.ttl = 7;
  edits.dscp = 46;
  return edits;
}

}  // namespace

TEST_CASE("after an edit every checksum is the one that summing anew gives") {
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; round++) {
    const bool is_v6 = round % 2 == 0;
    const uint8_t protocols[] = {6, 17, 58};
    const uint8_t protocol = protocols[round % (is_v6 ? 3 : 2)];
    const Bytes before = make(is_v6, protocol, random() % 40, random);
    Bytes after = edited(everything(), before);
    REQUIRE(after.size() == before.size());
    const uint16_t sum = at16(l4_of(after), sum_offset(protocol));
    const uint16_t right = wanted(after);
    const uint16_t written = right == 0 && protocol == 17 ? uint16_t{0xffff} : right;
    REQUIRE(sum == written);
    if (!is_v6) REQUIRE(ip_is_right(after, 14));
    const auto headers = decode::decode_packet(after, static_cast<uint32_t>(after.size()), 1);
    CHECK(headers.ttl == 7);
    CHECK((headers.traffic_class >> 2) == 46);
    if (!is_v6) CHECK((headers.src4 >> 16) == 0x0a4d);
    if (!is_v6) CHECK((headers.src4 & 0xffff) == at16(before, 28));
    if (protocol != 58) CHECK(headers.src_port == 1234);
    if (protocol != 58) CHECK(headers.dst_port == 53);
  }
}

TEST_CASE("a checksum that was left to the NIC is summed up, and only followed where the packet was cut") {
  std::mt19937 random(2);
  for (int round = 0; round < 2'000; round++) {
    for (const uint8_t protocol : {uint8_t{6}, uint8_t{17}}) {
      const Bytes before = make(round % 2 == 0, protocol, 30, random, true);
      Bytes after = edited(everything(), before);
      const uint16_t right = wanted(after);
      const uint16_t written = right == 0 && protocol == 17 ? uint16_t{0xffff} : right;
      REQUIRE(at16(l4_of(after), sum_offset(protocol)) == written);
      const Bytes cut(before.begin(), before.end() - 10);
      Bytes part = edited(everything(), cut, static_cast<uint32_t>(before.size()));
      Bytes whole = part;
      whole.insert(whole.end(), before.end() - 10, before.end());
      REQUIRE(at16(l4_of(whole), sum_offset(protocol)) == checksum::fold(pseudo(whole)));
    }
  }
}

TEST_CASE("UDP without a checksum stays without") {
  std::mt19937 random(3);
  Bytes frame = make(false, 17, 12, random);
  store_big(frame.data() + 40, uint16_t{0});
  CHECK(at16(edited(everything(), frame), 40) == 0);
}

TEST_CASE("a tag is pushed, set and popped, and what has none is left alone") {
  std::mt19937 random(4);
  const Bytes plain = make(false, 6, 20, random);
  Edits edits;
  edits.vlan = Vlan::kPush;
  edits.vlan_tci = 0x6064;
  const Bytes tagged = edited(edits, plain);
  REQUIRE(tagged.size() == plain.size() + 4);
  CHECK(at16(tagged, 12) == 0x8100);
  CHECK(at16(tagged, 14) == 0x6064);
  CHECK(std::equal(plain.begin(), plain.begin() + 12, tagged.begin()));
  CHECK(std::equal(plain.begin() + 12, plain.end(), tagged.begin() + 16));
  edits.vlan = Vlan::kSet;
  edits.vlan_tci = 5;
  CHECK(at16(edited(edits, tagged), 14) == 5);
  CHECK(edited(edits, plain) == plain);
  edits.vlan = Vlan::kPop;
  CHECK(edited(edits, tagged) == plain);
  CHECK(edited(edits, plain) == plain);
}

TEST_CASE("a time to live goes down by one, checksums follow, and what would have none left is not sent") {
  std::mt19937 random(7);
  Edits edits;
  edits.decrement_ttl = true;
  CHECK_FALSE(edits.empty());
  for (const bool is_v6 : {false, true}) {
    for (int ttl = 0; ttl < 256; ttl++) {
      Edits set;
      set.ttl = static_cast<uint8_t>(ttl);
      const Bytes before = edited(set, make(is_v6, 17, 20, random));
      Bytes room(kHeadroom + before.size());
      std::copy(before.begin(), before.end(), room.begin() + kHeadroom);
      Bytes after(room.begin() + kHeadroom, room.end());
      if (ttl <= 1) {
        CHECK(apply(edits, room, static_cast<uint32_t>(before.size())).empty());
        CHECK(std::equal(before.begin(), before.end(), room.begin() + kHeadroom));
        continue;
      }
      after = edited(edits, before);
      const auto headers = decode::decode_packet(after, static_cast<uint32_t>(after.size()), 1);
      CHECK(headers.ttl == ttl - 1);
      if (!is_v6) CHECK(ip_is_right(after, 14));
      CHECK(std::equal(before.begin() + (is_v6 ? 22 : 26), before.end(), after.begin() + (is_v6 ? 22 : 26)));
    }
  }
  // What is no IP has none.
  Bytes other(60);
  store_big(other.data() + 12, uint16_t{0x88b5});
  CHECK(edited(edits, other) == other);
}

TEST_CASE("of fragments only the first one has ports, and the others are mapped all the same") {
  std::mt19937 random(5);
  Bytes frame = make(false, 17, 24, random);
  store_big(frame.data() + 20, uint16_t{0x2001});
  store_big(frame.data() + 24, uint16_t{0});
  store_big(frame.data() + 24, checksum::of(checksum::sum(std::span(frame).subspan(14, 20))));
  const Bytes after = edited(everything(), frame);
  CHECK(std::equal(frame.begin() + 34, frame.end(), after.begin() + 34));
  CHECK(at16(after, 26) == 0x0a4d);
  CHECK(ip_is_right(after, 14));
}

TEST_CASE("nothing outside of a frame is touched, whatever is in it") {
  std::mt19937 random(6);
  Edits edits = everything();
  edits.src_mac = Mac{};
  edits.dst_mac = Mac{};
  for (int round = 0; round < 50'000; round++) {
    Bytes frame = make(round % 2 == 0, round % 3 == 0 ? 6 : 17, random() % 8, random);
    for (int flips = 0; flips < 3; flips++)
      frame[12 + random() % (frame.size() - 12)] = static_cast<std::byte>(random());
    frame.resize(random() % (frame.size() + 1));
    edits.vlan = static_cast<Vlan>(random() % 4);
    edited(edits, frame, static_cast<uint32_t>(frame.size() + random() % 100));
  }
}
