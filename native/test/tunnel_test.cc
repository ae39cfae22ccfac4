// Tunnels made by hand, every number of which is known. test/unit/decap.test.ts asks tshark about others.
#include "decode/tunnel.h"

#include <doctest/doctest.h>

#include <random>

#include "decode/vxlan_quick.h"
#include "decode_frames.h"

using namespace ringtap;
using namespace ringtap::decode;

namespace {

struct Found {
  bool is_tunnel = false;
  Inner inner;
  TunnelRow row;
};

Found open(const Frame& frame, TunnelKinds kinds = kAllTunnels, uint32_t link_type = kLinkEthernet,
           uint32_t wirelen = 0) {
  Found found;
  const auto size = static_cast<uint32_t>(frame.size());
  found.is_tunnel =
      find_inner({frame.data(), frame.size()}, wirelen == 0 ? size : wirelen, link_type, kinds, found.inner, found.row);
  return found;
}

Frame udp(std::string_view port, const Frame& payload) {
  return hex("c001") + hex(port) + u16(8 + payload.size()) + hex("0000") + payload;
}

const Frame kInside = ethernet("0800", ipv4(17, kUdpDatagram));
const Frame kInsideIp = ipv4(17, kUdpDatagram);

Frame vxlan(const Frame& inside) { return ethernet("0800", ipv4(17, udp("12b5", hex("08000000 00126700") + inside))); }

}  // namespace

TEST_CASE("a frame in VXLAN is found where it begins, with VNI and source") {
  const Frame frame = vxlan(kInside);
  const Found found = open(frame);
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.at == 50);
  CHECK(found.inner.caplen == kInside.size());
  CHECK(found.inner.wirelen == kInside.size());
  CHECK(found.inner.link_type == kLinkEthernet);
  CHECK(found.row.kind() == TunnelKind::kVxlan);
  CHECK(found.row.id == 0x1267);
  CHECK(found.row.depth() == 1);
  CHECK(found.row.outer_bytes() == 50);
  CHECK(found.row.source[0] == 0x0a000001);
  CHECK((found.row.about & kTunnelFlags) == kTunnelHasId);
}

TEST_CASE("tunnels in tunnels are followed four deep, and the fifth is left closed") {
  Frame frame = kInside;
  for (int i = 0; i < 5; i++) frame = vxlan(frame);
  const Found found = open(frame);
  REQUIRE(found.is_tunnel);
  CHECK(found.row.depth() == 4);
  CHECK(found.inner.at == 4 * 50);
  CHECK(found.row.outer_bytes() == 4 * 50);
}

TEST_CASE("GENEVE's options are skipped, and its control messages are no packets") {
  const auto geneve = [](std::string_view header) {
    return ethernet("86dd", ipv6(17, udp("17c1", hex(header) + hex("0108010100000007") + kInsideIp)));
  };
  const Found found = open(geneve("0200 0800 00000700"));
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.at == 14 + 40 + 8 + 8 + 8);
  CHECK(found.inner.link_type == kLinkRaw);
  CHECK(found.row.kind() == TunnelKind::kGeneve);
  CHECK(found.row.id == 7);
  CHECK((found.row.about & kTunnelFrom6) != 0);
  CHECK(found.row.source[0] == 0x20010db8);
  CHECK(found.row.source[3] == 1);
  CHECK_FALSE(open(geneve("0280 0800 00000700")).is_tunnel);
  CHECK_FALSE(open(geneve("4200 0800 00000700")).is_tunnel);
  CHECK_FALSE(open(geneve("0200 0806 00000700")).is_tunnel);
}

TEST_CASE("GRE carries IP and frames, with or without checksum, key and sequence number") {
  Found found = open(ethernet("0800", ipv4(47, hex("0000 0800") + kInsideIp)));
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.at == 38);
  CHECK(found.inner.link_type == kLinkRaw);
  CHECK((found.row.about & kTunnelHasId) == 0);
  found = open(ethernet("0800", ipv4(47, hex("b000 6558 0000 0000 0000002a 00000001") + kInside)));
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.at == 50);
  CHECK(found.inner.link_type == kLinkEthernet);
  CHECK(found.row.id == 42);
  CHECK_FALSE(open(ethernet("0800", ipv4(47, hex("4000 0800 00000000") + kInsideIp))).is_tunnel);
  CHECK_FALSE(open(ethernet("0800", ipv4(47, hex("2001 880b 0000 0000") + kInsideIp))).is_tunnel);
}

TEST_CASE("ERSPAN I, II and III are told apart, and III's clock is read in its own unit") {
  const auto gre = [](const Frame& rest) { return ethernet("0800", ipv4(47, rest + kInside)); };
  Found found = open(gre(hex("0000 88be")));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.kind() == TunnelKind::kErspan);
  CHECK((found.row.about & kTunnelHasId) == 0);
  CHECK(found.inner.at == 38);
  found = open(gre(hex("1000 88be 00000001 1000 0c65 00000000")));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.id == 0x065);
  CHECK((found.row.about & kTunnelCut) != 0);
  CHECK(found.inner.at == 50);
  found = open(gre(hex("1000 22eb 00000001 2000 0064 00000010 0000 0002")));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.id == 100);
  CHECK(found.row.time_ns() == 16 * 100);
  CHECK(found.inner.at == 54);
  found = open(gre(hex("1000 22eb 00000001 2000 0064 00000010 0000 0001 0c000000 00000002")));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.time_ns() == ((uint64_t{2} << 32) + 16) * 100'000);
  CHECK(found.inner.at == 62);
}

TEST_CASE("TZSP says how long a packet was, and when it came") {
  const Frame header = hex("01 00 0001 00 0a 01 c8 0d 04 00000005 29 02 05dc 01");
  const Found found = open(ethernet("0800", ipv4(17, udp("9090", header + kInside))));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.kind() == TunnelKind::kTzsp);
  CHECK(found.inner.at == 42 + header.size());
  CHECK(found.inner.caplen == kInside.size());
  CHECK(found.inner.wirelen == 1500);
  CHECK(found.row.time_ns() == 5'000'000'000);
  // A keepalive, and tags that never end.
  CHECK_FALSE(open(ethernet("0800", ipv4(17, udp("9090", hex("01 04 0001 01 00"))))).is_tunnel);
  CHECK_FALSE(open(ethernet("0800", ipv4(17, udp("9090", hex("01 00 0001 0a 20 c8"))))).is_tunnel);
  const Found wireless = open(ethernet("0800", ipv4(17, udp("9090", hex("01 00 0012 01 80000000")))));
  REQUIRE(wireless.is_tunnel);
  CHECK(wireless.inner.link_type == kLinkIeee80211);
}

TEST_CASE("MPLS is IP or a pseudo-wire with its control word; its label is the last one") {
  Found found = open(ethernet("8847", hex("00064040 00065140") + kInsideIp));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.kind() == TunnelKind::kMpls);
  CHECK(found.row.id == 101);
  CHECK(found.inner.at == 22);
  CHECK(found.inner.link_type == kLinkRaw);
  found = open(ethernet("8847", hex("00065140 00000000") + kInside));
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.link_type == kLinkEthernet);
  CHECK(found.inner.at == 22);
  CHECK_FALSE(open(ethernet("8847", hex("00064040"))).is_tunnel);
}

TEST_CASE("GTP-U's extension headers are skipped, and its echoes are no packets") {
  Found found = open(ethernet("0800", ipv4(17, udp("0868", hex("30 ff 0020 0000002a") + kInsideIp))));
  REQUIRE(found.is_tunnel);
  CHECK(found.row.kind() == TunnelKind::kGtpU);
  CHECK(found.row.id == 42);
  CHECK(found.inner.at == 50);
  CHECK(found.inner.caplen == 32);
  found = open(ethernet("0800", ipv4(17, udp("0868", hex("34 ff 0028 0000002a 00000085 01100900") + kInsideIp))));
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.at == 58);
  CHECK_FALSE(open(ethernet("0800", ipv4(17, udp("0868", hex("32 01 0004 00000000 00000000"))))).is_tunnel);
}

TEST_CASE("only the kinds that were asked for are opened") {
  CHECK_FALSE(open(vxlan(kInside), set_of(TunnelKind::kGre)).is_tunnel);
  const Frame both = ethernet("0800", ipv4(47, hex("0000 6558") + vxlan(kInside)));
  CHECK(open(both, set_of(TunnelKind::kGre)).row.depth() == 1);
  CHECK(open(both, set_of(TunnelKind::kGre) | set_of(TunnelKind::kVxlan)).row.depth() == 2);
  CHECK_FALSE(open(ethernet("0800", ipv4(47, hex("0000 88be") + kInside)), set_of(TunnelKind::kGre)).is_tunnel);
}

TEST_CASE("of a packet that the mirror cut, the length is what its own IP header says") {
  Frame inside = ethernet("0800", ipv4(17, kUdpDatagram + Frame(1000)));
  const auto whole = static_cast<uint32_t>(inside.size());
  inside.resize(80);
  const Found found = open(vxlan(inside));
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.caplen == 80);
  CHECK(found.inner.wirelen == whole);
}

TEST_CASE("padding behind the tunnel is no part of the packet") {
  const Frame frame = ethernet("0800", ipv4(47, hex("0000 0800") + ipv4(1, {}))) + Frame(6);
  const Found found = open(frame);
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.caplen == 20);
  CHECK(found.inner.wirelen == 20);
}

TEST_CASE("a capture that cut the outer packet leaves the inner one its length") {
  Frame frame = vxlan(kInside);
  const auto wirelen = static_cast<uint32_t>(frame.size());
  frame.resize(70);
  const Found found = open(frame, kAllTunnels, kLinkEthernet, wirelen);
  REQUIRE(found.is_tunnel);
  CHECK(found.inner.caplen == 20);
  CHECK(found.inner.wirelen == kInside.size());
  frame.resize(50);
  CHECK_FALSE(open(frame, kAllTunnels, kLinkEthernet, wirelen).is_tunnel);
}

TEST_CASE("fragments, other ports and other packets are no tunnels") {
  CHECK_FALSE(open(ethernet("0800", ipv4(17, udp("12b5", hex("08000000 00126700") + kInside), "2000"))).is_tunnel);
  CHECK_FALSE(open(ethernet("0800", ipv4(17, udp("12b6", hex("08000000 00126700") + kInside)))).is_tunnel);
  CHECK_FALSE(open(ethernet("0800", ipv4(17, udp("12b5", hex("00000000 00126700") + kInside)))).is_tunnel);
  for (const auto& [link_type, frame] : samples()) CHECK_FALSE(open(frame, kAllTunnels, link_type).is_tunnel);
}

TEST_CASE("whatever the bytes are, what is found lies within them") {
  std::mt19937 random(7);
  const Frame seeds[] = {
      vxlan(vxlan(kInside)),
      ethernet("0800", ipv4(47, hex("1000 22eb 00000001 2000 0064 00000010 0000 0001 0c000000 00000002") + kInside)),
      ethernet("0800", ipv4(17, udp("9090", hex("01 00 0001 0d 04 00000005 29 02 05dc 01") + kInside))),
      ethernet("0800", ipv4(17, udp("0868", hex("34 ff 0028 0000002a 00000085 01100900") + kInsideIp))),
      ethernet("8847", hex("00064040 00065140") + kInsideIp)};
  for (int i = 0; i < 200'000; i++) {
    Frame frame = seeds[random() % std::size(seeds)];
    for (uint32_t flips = random() % 6; flips > 0; flips--) {
      frame[random() % frame.size()] = static_cast<std::byte>(random());
    }
    frame.resize(random() % (frame.size() + 1));
    const Found found = open(frame);
    if (!found.is_tunnel) continue;
    REQUIRE(found.inner.caplen > 0);
    REQUIRE(uint64_t{found.inner.at} + found.inner.caplen <= frame.size());
    REQUIRE(found.inner.wirelen >= found.inner.caplen);
    REQUIRE(found.row.outer_bytes() == found.inner.at);
    REQUIRE(found.row.depth() - 1 < kDeepestTunnel);
  }
}

TEST_CASE("the short way decides as the long one does, also of frames that are damaged anywhere") {
  std::mt19937 random(7);
  const Frame tcp = ethernet("0800", ipv4(6, kUdpDatagram));
  std::vector<Frame> seeds = {vxlan(kInside), vxlan(tcp), vxlan(vxlan(kInside)), kInside, tcp};
  uint32_t opened = 0;
  uint32_t others = 0;
  for (int i = 0; i < 400'000; i++) {
    Frame frame = seeds[random() % seeds.size()];
    // Mostly where headers are, and mostly few.
    for (uint32_t changes = random() % 4; changes > 0; changes--) {
      frame[random() % frame.size()] = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 9);
    }
    if (random() % 4 == 0) frame.resize(random() % (frame.size() + 1));
    const auto wirelen = static_cast<uint32_t>(frame.size() + (random() % 3 == 0 ? random() % 100 : 0));
    Found quick;
    const auto keep = [&quick](uint32_t caplen, uint32_t length, uint32_t vni, uint32_t source) {
      quick.inner.caplen = caplen;
      quick.inner.wirelen = length;
      quick.row.id = vni;
      quick.row.source[0] = source;
    };
    const Quick::Is is = look_quickly({frame.data(), frame.size()}, wirelen, keep);
    if (is == Quick::Is::kUnknown) continue;
    const Found found = open(frame, kAllTunnels, kLinkEthernet, wirelen);
    REQUIRE(found.is_tunnel == (is == Quick::Is::kVxlan));
    if (!found.is_tunnel) {
      others++;
      continue;
    }
    opened++;
    REQUIRE(found.inner.at == Quick::kAt);
    REQUIRE(found.inner.link_type == kLinkEthernet);
    REQUIRE(found.inner.caplen == quick.inner.caplen);
    REQUIRE(found.inner.wirelen == quick.inner.wirelen);
    REQUIRE(found.row.about == Quick::kAbout);
    REQUIRE(found.row.id == quick.row.id);
    REQUIRE(found.row.source[0] == quick.row.source[0]);
    REQUIRE((found.row.source[1] | found.row.source[2] | found.row.source[3] | found.row.time[0] | found.row.time[1]) ==
            0);
  }
  CHECK(opened > 10'000);
  CHECK(others > 10'000);
}
