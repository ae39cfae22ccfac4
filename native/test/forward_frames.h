// Frames for the forwarder's tests, and what is right about one.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "core/byte_order.h"
#include "core/checksum.h"
#include "forward/engine.h"

namespace ringtap::forward::test {

inline Address ipv4(uint32_t number) {
  Address made;
  store_big<uint32_t>(made.bytes.data(), number);
  return made;
}
inline Address ipv6(uint64_t low) {
  Address made;
  made.v6 = true;
  store_big<uint64_t>(made.bytes.data(), 0x20010db800000000u);
  store_big<uint64_t>(made.bytes.data() + 8, low);
  return made;
}
inline Mac mac(uint8_t last) { return {std::byte{2}, {}, {}, {}, {}, std::byte{last}}; }

struct Made {
  Address source, destination;
  uint8_t carried = protocol::kUdp;
  std::vector<std::byte> payload = {};  // with the transport header, sums in it 0
  uint8_t ttl = 64;
  uint16_t fragment = 0;
  std::vector<std::byte> tags = {};
  Mac to = mac(1), from = mac(9);
};

/// What the checksum of the transport header has to be; nothing where it has none.
inline std::optional<uint16_t> whole_sum(std::span<const std::byte> frame, const Network& ip) {
  const auto part = frame.subspan(ip.transport, ip.end - ip.transport);
  if (ip.protocol == protocol::kIcmp) return checksum::of(checksum::sum(part));
  if (!sum_place(ip.protocol)) return std::nullopt;
  const auto addresses = frame.subspan(ip.sources(), ip.address_bytes() * 2);
  return checksum::of(checksum::pseudo_header(addresses, ip.protocol, static_cast<uint32_t>(part.size())) +
                      checksum::sum(part));
}

inline uint32_t place_of(uint8_t carried) { return carried == protocol::kIcmp ? 2 : sum_place(carried).value_or(0); }

/// With right sums.
inline Bytes frame_of(const Made& made) {
  Bytes frame;
  frame.reserve(128 + made.payload.size());
  const auto put = [&frame](std::span<const std::byte> bytes) {
    frame.insert(frame.end(), bytes.begin(), bytes.end());
  };
  const auto put16 = [&frame](unsigned value) {
    frame.push_back(static_cast<std::byte>(value >> 8));
    frame.push_back(static_cast<std::byte>(value));
  };
  put(made.to);
  put(made.from);
  put(made.tags);
  const bool v6 = made.source.v6;
  put16(v6 ? kEtherIpv6 : kEtherIpv4);
  const size_t start = frame.size();
  if (v6) {
    put16(0x6000);
    put16(0);
    put16(static_cast<unsigned>(made.payload.size()));
    put16(made.carried << 8 | made.ttl);
  } else {
    put16(0x4500);
    put16(static_cast<unsigned>(20 + made.payload.size()));
    put16(0x1234);
    put16(made.fragment);
    put16(made.ttl << 8 | made.carried);
    put16(0);
  }
  put(made.source.span());
  put(made.destination.span());
  if (!v6) {
    store_big<uint16_t>(frame.data() + start + 10, checksum::of(checksum::sum({frame.data() + start, 20})));
  }
  put(made.payload);
  const auto ip = read_network(frame, static_cast<uint32_t>(start), v6);
  if (ip && ip->is_first && ip->transport + place_of(made.carried) + 2 <= ip->end && place_of(made.carried) != 0) {
    if (const auto sum = whole_sum(frame, *ip)) {
      const bool is_udp = made.carried == protocol::kUdp && *sum == 0;
      store_big<uint16_t>(frame.data() + ip->transport + place_of(made.carried), is_udp ? 0xffff : *sum);
    }
  }
  return frame;
}

inline Network network_of(std::span<const std::byte> frame) {
  const auto link = read_link(frame);
  return *read_network(frame, link->network, link->type == kEtherIpv6);
}

/// Whether the sums of a whole frame are right.
inline bool has_right_sums(std::span<const std::byte> frame) {
  const Network ip = network_of(frame);
  if (!has_good_header(frame, ip)) return false;
  if (!ip.is_first || ip.is_fragment || place_of(ip.protocol) == 0) return true;
  const uint16_t stored = load_big<uint16_t>(frame.data() + ip.transport + place_of(ip.protocol));
  if (ip.protocol == protocol::kUdp && stored == 0) return true;
  return whole_sum(frame, ip) == 0;
}

/// An udp datagram's header and data.
inline Bytes udp(uint16_t from, uint16_t to, size_t data) {
  Bytes made(8 + data);
  store_big<uint16_t>(made.data(), from);
  store_big<uint16_t>(made.data() + 2, to);
  store_big<uint16_t>(made.data() + 4, static_cast<uint16_t>(8 + data));
  for (size_t i = 0; i < data; i++) made[8 + i] = static_cast<std::byte>(i * 7);
  return made;
}

}  // namespace ringtap::forward::test
