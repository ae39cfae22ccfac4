// Two-way flows of every kind that may come apart where packets are dealt out.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "core/byte_order.h"
#include "test/conformance.h"

namespace ringtap::test {

/// A frame, and the conversation that it belongs to.
struct FlowFrame {
  uint32_t flow;
  Bytes bytes;
};

class FlowFrames {
 public:
  explicit FlowFrames(uint64_t seed) : random_(seed) {}

  /// Frames of `count` flows, of every kind in turn; a flow's own frames in order.
  std::vector<FlowFrame> make(uint32_t count) {
    for (uint32_t flow = 0; flow < count; flow++) add(flow);
    return std::move(frames_);
  }

  static constexpr uint32_t kKinds = 12;
  static const char* kind(uint32_t flow) {
    static constexpr const char* kNames[kKinds] = {"v4",         "v6",         "vlan",        "qinq",
                                                   "fragments4", "fragments6", "icmp-error4", "icmp-error6",
                                                   "vxlan",      "geneve",     "gre",         "mixed"};
    return kNames[flow % kKinds];
  }

 private:
  struct Ends {
    Bytes a, b;  // addresses
    uint16_t a_port, b_port;
    uint8_t protocol;
  };

  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  static void put16(Bytes& to, uint32_t value) {
    to.push_back(static_cast<std::byte>(value >> 8));
    to.push_back(static_cast<std::byte>(value));
  }
  static void put32(Bytes& to, uint32_t value) {
    put16(to, value >> 16);
    put16(to, value);
  }
  static Bytes joined(Bytes head, const Bytes& tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
  }

  Ends ends(uint32_t flow, bool six, uint8_t protocol) {
    Ends ends{
        .a = {}, .b = {}, .a_port = static_cast<uint16_t>(20000 + pick(30000)), .b_port = 443, .protocol = protocol};
    if (six) {
      for (uint32_t word : {0x20010db8u, 0u, 0u, 0x10000u + flow}) put32(ends.a, word);
      for (uint32_t word : {0x20010db8u, 1u, 0u, 1 + pick(20)}) put32(ends.b, word);
    } else {
      put32(ends.a, 0x0a000000u + flow + 1);
      put32(ends.b, 0xc0a80000u + 1 + pick(200));
    }
    return ends;
  }

  static Ends turned(Ends ends) {
    std::swap(ends.a, ends.b);
    std::swap(ends.a_port, ends.b_port);
    return ends;
  }

  static Bytes segment(const Ends& ends, uint32_t payload) {
    Bytes bytes;
    put16(bytes, ends.a_port);
    put16(bytes, ends.b_port);
    if (ends.protocol == 6) {
      put32(bytes, 1);
      put32(bytes, 1);
      put32(bytes, 0x50180400);
      put32(bytes, 0);
    } else {
      put16(bytes, 8 + payload);
      put16(bytes, 0);
    }
    bytes.resize(bytes.size() + payload);
    return bytes;
  }

  Bytes ip4(const Ends& ends, const Bytes& payload, uint32_t id = 0, uint32_t fragment = 0) {
    Bytes bytes;
    put16(bytes, 0x4500);
    put16(bytes, static_cast<uint32_t>(20 + payload.size()));
    put16(bytes, id);
    put16(bytes, fragment);
    put16(bytes, 0x4000 | ends.protocol);
    put16(bytes, 0);
    return joined(joined(joined(std::move(bytes), ends.a), ends.b), payload);
  }

  static Bytes ip6(const Ends& ends, const Bytes& payload, uint8_t next = 0) {
    Bytes bytes;
    put32(bytes, 0x60000000);
    put16(bytes, static_cast<uint32_t>(payload.size()));
    put16(bytes, static_cast<uint32_t>((next != 0 ? next : ends.protocol) << 8 | 64));
    return joined(joined(joined(std::move(bytes), ends.a), ends.b), payload);
  }

  static Bytes ether(uint16_t type, const Bytes& payload, std::initializer_list<uint32_t> tags = {}) {
    Bytes bytes{std::byte{2}, {}, {}, {}, {}, std::byte{2}, std::byte{2}, {}, {}, {}, {}, std::byte{1}};
    for (const uint32_t tag : tags) put32(bytes, tag);
    put16(bytes, type);
    bytes = joined(std::move(bytes), payload);
    if (bytes.size() < 60) bytes.resize(60);
    return bytes;
  }

  void push(uint32_t flow, Bytes bytes) { frames_.push_back({.flow = flow, .bytes = std::move(bytes)}); }

  /// Both directions, a few packets of each.
  template <class Wrap>
  void both(uint32_t flow, const Ends& ends, Wrap wrap) {
    for (uint32_t i = 0; i < 2; i++) {
      push(flow, wrap(ends));
      push(flow, wrap(turned(ends)));
    }
  }

  void fragments4(uint32_t flow, const Ends& ends) {
    const Bytes whole = segment(ends, 1200);
    const uint32_t id = pick(65536);
    push(flow, ether(0x0800, ip4(ends, Bytes(whole.begin(), whole.begin() + 800), id, 0x2000)));
    push(flow, ether(0x0800, ip4(ends, Bytes(whole.begin() + 800, whole.end()), id, 100)));
  }

  void fragments6(uint32_t flow, const Ends& ends) {
    const Bytes whole = segment(ends, 1200);
    const uint32_t id = pick(UINT32_MAX);
    for (const uint32_t from : {0u, 800u}) {
      Bytes piece;
      put16(piece, static_cast<uint32_t>(ends.protocol << 8));
      put16(piece, from == 0 ? 1 : from);
      put32(piece, id);
      piece.insert(piece.end(), whole.begin() + from, from == 0 ? whole.begin() + 800 : whole.end());
      push(flow, ether(0x86dd, ip6(ends, piece, 44)));
    }
  }

  /// From a router between the two, about a packet of `ends`.
  void error4(uint32_t flow, const Ends& ends) {
    Bytes quote = ip4(ends, segment(ends, 40));
    quote.resize(28);
    Bytes icmp;
    put32(icmp, 0x0b000000);
    put32(icmp, 0);
    Ends router{.a = {}, .b = ends.a, .a_port = 0, .b_port = 0, .protocol = 1};
    put32(router.a, 0xac100001 + pick(1000));
    push(flow, ether(0x0800, ip4(router, joined(icmp, quote))));
  }

  void error6(uint32_t flow, const Ends& ends) {
    Bytes icmp;
    put32(icmp, 0x03000000);
    put32(icmp, 0);
    Ends router{.a = {}, .b = ends.a, .a_port = 0, .b_port = 0, .protocol = 58};
    for (uint32_t word : {0x20010db8u, 0xffffu, 0u, pick(1000)}) put32(router.a, word);
    push(flow, ether(0x86dd, ip6(router, joined(icmp, ip6(ends, segment(ends, 40))))));
  }

  /// Each direction of the tunnel has a source port of its own, as real ends do it.
  void udp_tunnel(uint32_t flow, uint16_t port, const Bytes& header) {
    Ends outer = ends(flow, false, 17);
    const Ends inner = ends(flow + 100000, false, 6);
    for (uint32_t i = 0; i < 2; i++) {
      for (const bool back : {false, true}) {
        Ends way = back ? turned(outer) : outer;
        way.a_port = static_cast<uint16_t>(49152 + pick(16000));
        way.b_port = port;
        Bytes payload = segment(way, 0);
        payload = joined(std::move(payload), header);
        const Ends within = back ? turned(inner) : inner;
        payload = joined(std::move(payload), ether(0x0800, ip4(within, segment(within, 20))));
        push(flow, ether(0x0800, ip4(way, payload)));
      }
    }
  }

  void add(uint32_t flow) {
    const auto protocol = static_cast<uint8_t>(pick(2) == 0 ? 6 : 17);
    const Ends four = ends(flow, false, protocol);
    const Ends six = ends(flow, true, protocol);
    const auto plain4 = [&](const Ends& way) { return ether(0x0800, ip4(way, segment(way, 20))); };
    const auto plain6 = [&](const Ends& way) { return ether(0x86dd, ip6(way, segment(way, 20))); };
    switch (flow % kKinds) {
      case 0:
        return both(flow, four, plain4);
      case 1:
        return both(flow, six, plain6);
      case 2:
        return both(flow, four, [&](const Ends& way) {
          return ether(0x0800, ip4(way, segment(way, 20)), {0x81000000u | (flow & 4095)});
        });
      case 3:
        return both(flow, six, [&](const Ends& way) {
          return ether(0x86dd, ip6(way, segment(way, 20)), {0x88a80064u, 0x81000000u | (flow & 4095)});
        });
      case 4: {
        const Ends udp = ends(flow, false, 17);
        fragments4(flow, udp);
        return fragments4(flow, turned(udp));
      }
      case 5: {
        const Ends udp = ends(flow, true, 17);
        fragments6(flow, udp);
        return fragments6(flow, turned(udp));
      }
      case 6:
        both(flow, four, plain4);
        error4(flow, four);
        return error4(flow, turned(four));
      case 7:
        both(flow, six, plain6);
        return error6(flow, six);
      case 8:
        return udp_tunnel(flow, 4789, {std::byte{8}, {}, {}, {}, {}, {}, std::byte{7}, {}});
      case 9:
        return udp_tunnel(flow, 6081, {{}, {}, std::byte{0x65}, std::byte{0x58}, {}, {}, std::byte{7}, {}});
      case 10: {
        Ends outer = ends(flow, false, 47);
        return both(flow, outer, [&](const Ends& way) {
          Bytes header;
          put32(header, 0x00000800);
          const Ends inner = ends(flow + 200000, false, 6);
          return ether(0x0800, ip4(way, joined(header, ip4(inner, segment(inner, 20)))));
        });
      }
      default: {
        const Ends udp = ends(flow, false, 17);
        both(flow, udp, plain4);
        fragments4(flow, udp);
        fragments4(flow, turned(udp));
        return error4(flow, udp);
      }
    }
  }

  std::mt19937_64 random_;
  std::vector<FlowFrame> frames_;
};

}  // namespace ringtap::test
