// Ethernet frames of all kinds that filters tell apart: whole, damaged and cut.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

namespace ringtap::test {

using Bytes = std::vector<std::byte>;

class Frames {
 public:
  explicit Frames(uint64_t seed) : random_(seed) {}

  /// 14 to 1,500 bytes, which is what a test run takes at least and a network carries at most.
  Bytes next() {
    Bytes frame = whole();
    if (pick(4) == 0) damage(frame);
    if (pick(6) == 0) frame.resize(pick(static_cast<uint32_t>(frame.size()) + 1));
    if (pick(8) == 0) frame.resize(frame.size() + pick(1500));
    frame.resize(std::clamp<size_t>(frame.size(), 14, 1500));
    return frame;
  }

  /// A frame with `size` bytes, the payload random.
  Bytes next(size_t size) {
    Bytes frame = whole();
    while (frame.size() < size) u8(frame, pick(256));
    frame.resize(size);
    return frame;
  }

  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

 private:
  uint32_t one_of(std::initializer_list<uint32_t> values) { return values.begin()[pick(uint32_t(values.size()))]; }

  static void u8(Bytes& to, uint32_t value) { to.push_back(static_cast<std::byte>(value)); }
  static void u16(Bytes& to, uint32_t value) {
    u8(to, value >> 8);
    u8(to, value);
  }
  static void u32(Bytes& to, uint32_t value) {
    u16(to, value >> 16);
    u16(to, value);
  }

  void mac(Bytes& to) {
    switch (pick(6)) {
      case 0:
        u16(to, 0xffff);
        return u32(to, 0xffffffff);
      case 1:
        u16(to, 0x0100);
        return u32(to, 0x5e000001);
      case 2:
        u16(to, 0x3333);
        return u32(to, 1);
      case 3:  // spanning tree
        u16(to, 0x0180);
        return u32(to, 0xc2000000);
    }
    u16(to, 0x0200);
    u32(to, 1 + pick(3));
  }

  uint32_t address4() {
    return one_of({0x0a000001, 0x0a000002, 0x0a000003, 0x0a000004, 0x0a010203, 0xc0a80001, 0xc0a80102, 0xac100001,
                   0xe0000001, 0xefffffff, 0xffffffff, 0x08080808, 0x7f000001, 0});
  }

  void address6(Bytes& to) {
    u32(to, one_of({0xfe800000, 0x20010db8, 0xff020000, 0}));
    u32(to, 0);
    u32(to, 0);
    u32(to, 1 + pick(3));
  }

  uint32_t port() {
    return one_of(
        {53, 53, 80, 80, 443, 22, 25, 123, 67, 68, 1, 1023, 1024, 2905, 4789, 6081, 8080, 50000, 55, 65535, 0});
  }

  void payload(Bytes& to) {
    if (pick(5) == 0) {
      for (const char c : {'G', 'E', 'T', ' ', '/'}) u8(to, static_cast<uint32_t>(c));
    }
    for (uint32_t left = pick(80); left > 0; left--) u8(to, pick(256));
  }

  void transport(Bytes& to, uint32_t protocol) {
    switch (protocol) {
      case 6:
        u16(to, port());
        u16(to, port());
        u32(to, pick(1000));
        u32(to, pick(1000));
        u8(to, (5 + pick(4)) << 4);
        u8(to, one_of({0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x29, pick(256)}));
        u32(to, pick(70000));
        u16(to, 0);
        break;
      case 17:
      case 136:
        u16(to, port());
        u16(to, port());
        u16(to, 8 + pick(100));
        u16(to, pick(65536));
        break;
      case 132:
        u16(to, port());
        u16(to, port());
        u32(to, pick(9));
        u32(to, 0);
        break;
      case 1:
        u8(to, one_of({0, 8, 3, 11, 13}));
        u8(to, pick(4));
        u16(to, 0);
        break;
      case 58:
        u8(to, one_of({1, 2, 128, 129, 133, 134, 135, 136}));
        u8(to, pick(3));
        u16(to, 0);
        break;
    }
    payload(to);
  }

  uint32_t protocol() { return one_of({6, 6, 6, 17, 17, 17, 1, 58, 132, 2, 50, 51, 103, 112, 9, 41, 89, pick(256)}); }

  void ip4(Bytes& to) {
    const uint32_t words = pick(4) == 0 ? 5 + pick(11) : 5;
    const uint32_t next = protocol();
    u8(to, (pick(20) == 0 ? 0x60 : 0x40) | words);
    u8(to, one_of({0, 0, 4, 0xb8, 1}));
    u16(to, 20 + pick(1480));
    u16(to, pick(65536));
    u16(to, pick(5) == 0 ? one_of({0x2000, 0x2010, 1, 0x1fff}) : one_of({0, 0x4000}));
    u8(to, one_of({64, 64, 1, 128, 255}));
    u8(to, next);
    u16(to, 0);
    u32(to, address4());
    u32(to, address4());
    for (uint32_t i = 5; i < words; i++) u32(to, 0x01010101);
    transport(to, next);
  }

  void ip6(Bytes& to) {
    u32(to, 0x60000000 | pick(0x100000));
    u16(to, pick(1400));
    uint32_t chain[4] = {};
    uint32_t length = 0;
    while (length < 3 && pick(3) == 0) chain[length++] = one_of({0, 43, 44, 60, 51});
    chain[length] = protocol();
    u8(to, chain[0]);
    u8(to, one_of({1, 64, 255}));
    address6(to);
    address6(to);
    for (uint32_t i = 0; i < length; i++) {
      u8(to, chain[i + 1]);
      u8(to, 0);
      u16(to, chain[i] == 44 ? one_of({0, 1, 0x0100}) : 0);
      u32(to, 0);
    }
    transport(to, chain[length]);
  }

  void arp(Bytes& to) {
    u16(to, 1);
    u16(to, 0x0800);
    u16(to, 0x0604);
    u16(to, one_of({1, 2, 3, 4}));
    mac(to);
    u32(to, address4());
    mac(to);
    u32(to, address4());
  }

  void ppp(Bytes& to) {
    u16(to, 0x1100);
    u16(to, pick(3));
    u16(to, pick(1000));
    const bool four = pick(2) == 0;
    u16(to, four ? 0x0021 : one_of({0x0057, 0xc021}));
    four ? ip4(to) : ip6(to);
  }

  void mpls(Bytes& to) {
    for (uint32_t labels = 1 + pick(3); labels > 0; labels--) {
      u32(to, one_of({100, 200, 16, 1023}) << 12 | (labels == 1 ? 0x100 : 0) | 64);
    }
    pick(2) == 0 ? ip4(to) : ip6(to);
  }

  void vxlan_or_geneve(Bytes& to) {
    const bool vxlan = pick(2) == 0;
    u8(to, 0x45);
    u8(to, 0);
    u16(to, 100);
    u32(to, 0);
    u16(to, 0x4011);
    u16(to, 0);
    u32(to, address4());
    u32(to, address4());
    u16(to, port());
    u16(to, vxlan ? 4789 : 6081);
    u32(to, 0);
    const uint32_t options = vxlan ? 0 : pick(3);
    vxlan ? u32(to, 0x08000000) : u32(to, options << 24 | 0x6558);
    u32(to, one_of({1, 5}) << 8);
    for (uint32_t i = 0; i < options; i++) u32(to, 0);
    mac(to);
    mac(to);
    u16(to, 0x0800);
    ip4(to);
  }

  void llc(Bytes& to) {
    u16(to, pick(200));
    const uint32_t sap = one_of({0x42, 0xe0, 0xfe, 0xf0, 0xaa, 0xff});
    u16(to, sap << 8 | sap);
    u8(to, one_of({3, 0, 0xe3, 1}));
    if (sap == 0xaa) {
      u8(to, one_of({0, 8}));
      u16(to, one_of({0, 7}));
      u16(to, one_of({0x809b, 0x80f3, 0x0800, 0x8137}));
    } else if (sap == 0xfe) {
      u8(to, one_of({0x81, 0x82, 0x83}));
    }
    payload(to);
  }

  void network(Bytes& to, uint32_t depth) {
    switch (pick(depth < 3 ? 20 : 15)) {
      case 0:
        u16(to, 0x0806);
        return arp(to);
      case 1:
        u16(to, 0x8035);
        return arp(to);
      case 2:
        return llc(to);
      case 3:
        u16(to, one_of({0x6000, 0x6001, 0x6002, 0x6003, 0x6004, 0x809b, 0x80f3, 0x8137, 0x88cc, pick(65536)}));
        return payload(to);
      case 4:
        u16(to, 0x8863);
        return ppp(to);
      case 5:
      case 6:
        u16(to, 0x8864);
        return ppp(to);
      case 7:
        u16(to, one_of({0x8847, 0x8847, 0x8848}));
        return mpls(to);
      case 8:
        u16(to, 0x0800);
        return vxlan_or_geneve(to);
      case 9:
      case 10:
      case 11:
        u16(to, 0x0800);
        return ip4(to);
      case 12:
      case 13:
      case 14:
        u16(to, 0x86dd);
        return ip6(to);
      case 15:
      case 16:
        u16(to, 0x0800);
        return ip4(to);
    }
    u16(to, one_of({0x8100, 0x8100, 0x88a8, 0x9100}));
    u16(to, pick(8) << 13 | one_of({5, 6, 100, 0, 4095}));
    network(to, depth + 1);
  }

  Bytes whole() {
    Bytes frame;
    mac(frame);
    mac(frame);
    network(frame, 0);
    return frame;
  }

  void damage(Bytes& frame) {
    for (uint32_t times = 1 + pick(4); times > 0; times--) {
      frame[pick(static_cast<uint32_t>(frame.size()))] ^= static_cast<std::byte>(1u << pick(8));
    }
  }

  std::mt19937_64 random_;
};

}  // namespace ringtap::test
