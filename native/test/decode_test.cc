// Packets made by hand, every number of which is known.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>

#include "decode_frames.h"

using namespace ringtap;
using namespace ringtap::decode;

TEST_CASE("UDP over IPv4 over Ethernet is decoded to its payload") {
  const Headers found = decoded(ethernet("0800", ipv4(17, kUdpDatagram)));
  CHECK(found.flags == kPorts);
  CHECK(found.ether_type == 0x0800);
  CHECK(found.network_offset == 14);
  CHECK(found.ip_version == 4);
  CHECK(found.ip_header_length == 20);
  CHECK(found.total_length == 32);
  CHECK(found.traffic_class == 0xb8);
  CHECK(found.fragment_id == 0x1234);
  CHECK(found.ttl == 63);
  CHECK(found.protocol == 17);
  CHECK(found.src4 == 0x0a000001);
  CHECK(found.dst4 == 0xc0a80102);
  CHECK(found.transport_offset == 34);
  CHECK(found.src_port == 40000);
  CHECK(found.dst_port == 53);
  CHECK(found.payload_offset == 42);
  CHECK(found.payload_length == 4);
  CHECK(found.payload_caplen == 4);
  CHECK(found.vlan_count == 0);
  CHECK(found.addresses6 == kAbsent);
}

TEST_CASE("TCP with options over IPv6 is decoded to its payload") {
  const Headers found = decoded(ethernet("86dd", ipv6(6, kTcpSegment)));
  CHECK(found.flags == (kPorts | kTcp));
  CHECK(found.ip_version == 6);
  CHECK(found.traffic_class == 0xb8);
  CHECK(found.ttl == 62);
  CHECK(found.addresses6 == 14 + 8);
  CHECK(found.total_length == 40 + 35);
  CHECK(found.transport_offset == 54);
  CHECK(found.src_port == 40000);
  CHECK(found.dst_port == 443);
  CHECK(found.sequence == 7);
  CHECK(found.acknowledgment == 0x80000009);
  CHECK(found.tcp_flags == 0x18);
  CHECK(found.window == 0x1234);
  CHECK(found.payload_offset == 54 + 32);
  CHECK(found.payload_length == 3);
}

TEST_CASE("VLAN tags are counted, and the first two are kept") {
  Headers found = decoded(ethernet("88a80064 8100e005 0800", ipv4(17, kUdpDatagram)));
  CHECK(found.vlan_count == 2);
  CHECK(found.outer_tpid == 0x88a8);
  CHECK(found.outer_tci == 100);
  CHECK(found.inner_tpid == 0x8100);
  CHECK(found.inner_tci == 0xe005);
  CHECK(found.ether_type == 0x0800);
  CHECK(found.network_offset == 22);
  CHECK(found.src_port == 40000);

  Frame many = kMacs;
  for (int i = 0; i < 300; i++) many = many + hex("81000001");
  found = decoded(many + hex("0800") + ipv4(17, kUdpDatagram));
  CHECK(found.vlan_count == 255);
  CHECK(found.network_offset == 14 + 1200);
}

TEST_CASE("every link type that the printer knows leads to the same IP header") {
  const Frame four = ipv4(17, kUdpDatagram);
  const Frame six = ipv6(17, kUdpDatagram);
  struct Case {
    uint32_t link_type;
    Frame header;
    bool is_six = false;
  };
  for (const Case& c : {Case{kLinkLinuxSll, hex("0000 0001 0006 020000000001 0000 0800")},
                        {kLinkLinuxSll, hex("0000 0001 0006 020000000001 0000 8100 0005 0800")},
                        {kLinkLinuxSll2, hex("0800 0000 00000007 0001 00 06 020000000001 0000")},
                        {kLinkNull, hex("02000000")},
                        {kLinkNull, hex("00000002")},
                        {kLinkNull, hex("18000000"), true},
                        {kLinkNull, hex("1c000000"), true},
                        {kLinkLoop, hex("0000001e"), true},
                        {kLinkPpp, hex("ff030021")},
                        {kLinkPpp, hex("0057"), true},
                        {kLinkPpp, hex("21")},
                        {kLinkPppHdlc, hex("ff0357"), true},
                        {kLinkPppHdlc, hex("0f000800")},
                        {kLinkCiscoHdlc, hex("8f0086dd"), true},
                        {kLinkRaw, {}},
                        {kLinkRaw, {}, true},
                        {kLinkIpv4, {}},
                        {kLinkIpv6, {}, true}}) {
    const Headers found = decoded(c.header + (c.is_six ? six : four), c.link_type);
    CAPTURE(c.link_type);
    CHECK(found.flags == kPorts);
    CHECK(found.network_offset == c.header.size());
    CHECK(found.ether_type == (c.is_six ? 0x86dd : 0x0800));
    CHECK(found.dst_port == 53);
  }
  CHECK(decoded(four, 127).flags == kUnknownLink);
  CHECK(decoded(hex("07000000 01"), kLinkNull).network_offset == 4);
  CHECK(decoded(hex("50"), kLinkRaw).flags == kBadVersion);
  const Headers link_control = decoded(hex("ff03c021 01010004"), kLinkPpp);
  CHECK(link_control.flags == 0);
  CHECK(link_control.network_offset == 4);
  CHECK(link_control.ether_type == 0);
  for (const std::string_view cut : {"", "21", "00", "ff", "ff03", "ff0300", "0f0008"}) {
    CHECK((decoded(hex(cut), kLinkPpp).flags & kCut) != 0);
  }
}

TEST_CASE("fragments say where they belong, and only the first has a transport header") {
  const Headers first = decoded(ethernet("0800", ipv4(17, kUdpDatagram, "2000")));
  CHECK(first.flags == (kPorts | kFragment | kMore));
  CHECK(first.fragment_offset == 0);
  CHECK(first.transport_offset == 34);

  const Headers last = decoded(ethernet("0800", ipv4(17, kUdpDatagram, "00b9")));
  CHECK(last.flags == kFragment);
  CHECK(last.fragment_offset == 0xb9 * 8);
  CHECK(last.transport_offset == kAbsent);
  CHECK(last.payload_offset == 34);
  CHECK(last.payload_length == 12);
  CHECK(last.flow_hash == first.flow_hash);

  const auto six = [](std::string_view header) {
    return decoded(ethernet("86dd", ipv6(44, hex(header) + kUdpDatagram)));
  };
  const Headers first6 = six("1100 0001 00000063");
  CHECK(first6.flags == (kPorts | kFragment | kMore | kOptions));
  CHECK(first6.protocol == 17);
  CHECK(first6.fragment_id == 0x63);
  CHECK(first6.dst_port == 53);
  const Headers last6 = six("1100 05a8 00000063");
  CHECK(last6.flags == (kFragment | kOptions));
  CHECK(last6.fragment_offset == 0x5a8);
  CHECK(last6.protocol == 17);
  CHECK(last6.transport_offset == kAbsent);
  CHECK(last6.payload_offset == 14 + 48);
  CHECK(last6.flow_hash == first6.flow_hash);
  const Headers atomic = six("1100 0000 00000063");
  CHECK(atomic.flags == (kPorts | kOptions));
}

TEST_CASE("the first fragment of a UDP datagram may state the length of the whole") {
  const Frame datagram = hex("9c40 0035 07d0 0000 01020304");
  CHECK(verdict(decoded(ethernet("0800", ipv4(17, datagram, "2000")))) == 0);
  const Headers whole = decoded(ethernet("0800", ipv4(17, datagram)));
  CHECK(verdict(whole) == kBadLength);
  CHECK(whole.payload_length == 4);
}

TEST_CASE("IPv6 extension headers are passed, whatever they are") {
  const Frame hop = hex("2b00 0502 0000 0100");
  const Frame routing = hex("3300 0200 00000000");  // of a kind that nobody knows
  const Frame authentication = hex("3c04 0000 00000001 00000001 000000000000000000000000");
  const Frame destination = hex("0600 0104 0000 0000");
  const Headers found = decoded(ethernet("86dd", ipv6(0, hop + routing + authentication + destination + kTcpSegment)));
  CHECK(found.flags == (kPorts | kTcp | kOptions));
  CHECK(found.protocol == 6);
  CHECK(found.transport_offset == 14 + 40 + 8 + 8 + 24 + 8);
  CHECK(found.payload_length == 3);

  const Headers twice = decoded(ethernet("86dd", ipv6(0, hex("0000 0502 0000 0100") + hop + kUdpDatagram)));
  CHECK(verdict(twice) == kBadExtension);
  CHECK(twice.transport_offset == kAbsent);
}

TEST_CASE("a jumbo payload option gives the length, and a length of 0 without it is malformed") {
  const auto with = [](std::string_view option) {
    Frame packet = ethernet("86dd", ipv6(0, hex("1100") + hex(option) + hex("9c40 0035 0000 0000") + Frame(92)));
    packet[18] = packet[19] = std::byte{0};
    return decode_packet(packet, 14 + 40 + 70'000, kLinkEthernet);
  };
  const Headers jumbo = with("c204 00011170");  // 70000
  CHECK(jumbo.flags == (kPorts | kOptions | kJumbo | kPayloadCut));
  CHECK(jumbo.total_length == 70'040);
  CHECK(jumbo.payload_length == 70'000 - 8 - 8);
  CHECK(jumbo.payload_caplen == 92);
  CHECK(verdict(with("c204 00011171")) == (kJumbo | kPayloadCut | kMissing));
  for (const char* option : {"c204 0000ffff", "0104 00000000", "c203 00010000", "c205 00010000", "0000 000000c2"}) {
    CHECK(verdict(with(option)) == kBadLength);
  }
  CHECK(verdict(with("0000 c204 0001")) == kBadLength);
}

TEST_CASE("lengths of 0 in IPv4 and UDP are left for the NIC to fill in, and taken from the frame") {
  Frame packet = ipv4(17, hex("9c40 0035 0000 0000 01020304"));
  packet[2] = packet[3] = std::byte{0};
  const Headers found = decoded(packet, kLinkRaw);
  CHECK(found.flags == (kPorts | kOffloaded));
  CHECK(found.total_length == 32);
  CHECK(found.payload_length == 4);
}

TEST_CASE("link padding is no payload, and bytes that the frame lacks are told") {
  const Frame packet = ethernet("0800", ipv4(17, kUdpDatagram));
  const Headers padded = decoded(packet + Frame(18));
  CHECK(padded.flags == kPorts);
  CHECK(padded.payload_length == 4);
  CHECK(padded.payload_caplen == 4);
  const Headers lacking = decode_packet(packet, static_cast<uint32_t>(packet.size() - 1), kLinkEthernet);
  CHECK(verdict(lacking) == kMissing);
}

TEST_CASE("each kind of malformed header has its verdict, and what stands before it is decoded") {
  const auto patched = [](Frame packet, size_t at, uint8_t value) {
    packet[at] = std::byte{value};
    return decoded(packet);
  };
  const Frame udp4 = ethernet("0800", ipv4(17, kUdpDatagram));
  const Frame tcp4 = ethernet("0800", ipv4(6, kTcpSegment));
  CHECK(verdict(patched(udp4, 14, 0x65)) == kBadVersion);
  CHECK(verdict(patched(udp4, 14, 0x44)) == kBadHeaderLength);
  CHECK(verdict(patched(udp4, 17, 19)) == kBadLength);
  CHECK(verdict(patched(udp4, 17, 27)) == kNoRoom);
  CHECK(patched(udp4, 17, 27).src_port == 40000);
  CHECK(verdict(patched(udp4, 17, 23)) == kNoRoom);
  CHECK((patched(udp4, 17, 23).flags & kPorts) == 0);
  CHECK(verdict(patched(udp4, 39, 7)) == kBadLength);
  CHECK(verdict(patched(udp4, 39, 13)) == kBadLength);
  CHECK(verdict(patched(tcp4, 46, 0x40)) == kBadHeaderLength);
  CHECK(verdict(patched(tcp4, 46, 0x90)) == kBadHeaderLength);
  CHECK(patched(tcp4, 46, 0x90).sequence == 7);
  CHECK(verdict(patched(ethernet("86dd", ipv6(17, kUdpDatagram)), 14, 0x4b)) == kBadVersion);
  CHECK(verdict(patched(ethernet("86dd", ipv6(60, hex("1101 0104 0000 0000") + kUdpDatagram)), 19, 9)) == kNoRoom);
}

TEST_CASE("a packet that is cut at any byte never points beyond its end, and tells that it was cut") {
  for (const auto& sample : samples()) {
    const uint32_t link_type = sample.first;
    const Frame& frame = sample.second;
    const Headers whole = decoded(frame, link_type);
    CHECK(verdict(whole) == 0);
    for (size_t size = 0; size < frame.size(); size++) {
      // An allocation of exactly the bytes: a sanitizer sees what is read beyond them.
      const auto cut = std::make_unique<std::byte[]>(size);
      std::memcpy(cut.get(), frame.data(), size);
      const Headers found = decode_packet({cut.get(), size}, static_cast<uint32_t>(frame.size()), link_type);
      CAPTURE(link_type);
      CAPTURE(size);
      const bool is_ip = whole.ip_version != 0;
      CHECK((verdict(found) & ~(kCut | kPayloadCut)) == 0);
      if (is_ip) CHECK((verdict(found) & (kCut | kPayloadCut)) != 0);
      for (const uint32_t at : {found.network_offset, found.transport_offset, found.payload_offset}) {
        CHECK((at == kAbsent || at < size));
      }
      if (found.ip_version != 0) {
        CHECK(found.ip_version == whole.ip_version);
        CHECK(found.src4 == whole.src4);
        CHECK(found.total_length == whole.total_length);
      }
      if ((found.flags & kPorts) != 0) CHECK(found.dst_port == whole.dst_port);
      if ((found.flags & kTcp) != 0) CHECK(found.acknowledgment == whole.acknowledgment);
      if (found.payload_offset != kAbsent) CHECK(found.payload_caplen == size - found.payload_offset);
    }
  }
}

TEST_CASE("random bytes give only offsets within the packet") {
  std::mt19937_64 random(7);
  const auto known = samples();
  for (int round = 0; round < 200'000; round++) {
    const auto& [link_type, origin] = known[random() % known.size()];
    const size_t size = random() % 4 == 0 ? random() % (origin.size() + 1) : origin.size();
    const auto bytes = std::make_unique<std::byte[]>(size);
    std::memcpy(bytes.get(), origin.data(), size);
    for (int flips = static_cast<int>(random() % 4); flips > 0 && size > 0; flips--) {
      bytes[random() % size] = static_cast<std::byte>(random());
    }
    const Headers found = decode_packet({bytes.get(), size}, static_cast<uint32_t>(random() % 200), link_type);
    bool is_within = true;
    for (const uint32_t at : {found.network_offset, found.transport_offset, found.payload_offset}) {
      is_within = is_within && (at == kAbsent || at < size);
    }
    is_within = is_within && found.payload_caplen <= found.payload_length;
    REQUIRE(is_within);
  }
}
