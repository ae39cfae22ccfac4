#include <doctest/doctest.h>

#include <random>

#include "forward_frames.h"

using namespace ringtap;
using namespace ringtap::forward;
using namespace ringtap::forward::test;

namespace {

std::mt19937_64 random_numbers(20261201);

uint64_t any(uint64_t below) { return random_numbers() % below; }

/// A packet of any kind that has a checksum.
Made any_packet() {
  static constexpr uint8_t kCarried[] = {protocol::kTcp, protocol::kUdp, protocol::kIcmp, protocol::kDccp};
  const bool v6 = any(2) == 0;
  Made made;
  made.source = v6 ? ipv6(random_numbers()) : ipv4(static_cast<uint32_t>(random_numbers()));
  made.destination = v6 ? ipv6(random_numbers()) : ipv4(static_cast<uint32_t>(random_numbers()));
  made.carried = kCarried[any(4)];
  if (v6 && made.carried == protocol::kIcmp) made.carried = protocol::kIcmp6;
  made.ttl = static_cast<uint8_t>(2 + any(254));
  made.payload.resize(20 + any(60));
  // WHY often one value: sums of 0 and 0xffff come of that.
  const auto one = static_cast<std::byte>(any(3) == 0 ? 0xff : 0);
  for (std::byte& byte : made.payload) byte = any(2) == 0 ? one : static_cast<std::byte>(any(256));
  const bool is_icmp = made.carried == protocol::kIcmp || made.carried == protocol::kIcmp6;
  if (is_icmp) made.payload[0] = std::byte{made.carried == protocol::kIcmp ? uint8_t{8} : uint8_t{128}};
  store_big<uint16_t>(made.payload.data() + place_of(made.carried), uint16_t{0});
  return made;
}

Edit any_edit(const Made& made) {
  const bool v6 = made.source.v6;
  Edit edit{.source = v6 ? ipv6(random_numbers()) : ipv4(static_cast<uint32_t>(random_numbers())),
            .destination = v6 ? ipv6(random_numbers()) : ipv4(static_cast<uint32_t>(random_numbers()))};
  if (any(2) == 0) edit.ttl = static_cast<uint8_t>(made.ttl - 1);
  if (any(2) == 0) edit.source_port = static_cast<uint16_t>(any(65536));
  if (any(2) == 0) edit.destination_port = static_cast<uint16_t>(any(65536));
  return edit;
}

}  // namespace

TEST_CASE("a million edits of any packet leave the sums that a packet made anew would have") {
  uint64_t wrong = 0;
  for (int i = 0; i < 1'000'000; i++) {
    const Made made = any_packet();
    Bytes bytes = frame_of(made);
    Frame frame{.data = bytes.data(), .length = static_cast<uint32_t>(bytes.size())};
    const Network ip = network_of(bytes);
    const Edit edit = any_edit(made);
    if (!can_rewrite(bytes, ip)) {
      wrong++;
      continue;
    }
    rewrite(frame, ip, edit);
    const bool is_there = ip.source(bytes) == edit.source && ip.destination(bytes) == edit.destination;
    if (!is_there || !has_right_sums(bytes)) wrong++;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a partial sum stays the sum of the pseudo-header, and is complete once it is completed") {
  uint64_t wrong = 0;
  for (int i = 0; i < 100'000; i++) {
    Made made = any_packet();
    if (made.carried == protocol::kIcmp || made.carried == protocol::kIcmp6) made.carried = protocol::kTcp;
    Bytes bytes = frame_of(made);
    const Network ip = network_of(bytes);
    const uint32_t place = place_of(made.carried);
    const auto partial = [&] {
      const auto addresses = std::span<const std::byte>(bytes).subspan(ip.sources(), ip.address_bytes() * 2);
      return checksum::fold(checksum::pseudo_header(addresses, ip.protocol, ip.end - ip.transport));
    };
    store_big<uint16_t>(bytes.data() + ip.transport + place, partial());
    Frame frame{.data = bytes.data(),
                .length = static_cast<uint32_t>(bytes.size()),
                .offload = {.flags = Offload::kNeedsSum,
                            .sum_start = static_cast<uint16_t>(ip.transport),
                            .sum_offset = static_cast<uint16_t>(place)}};
    rewrite(frame, ip, any_edit(made));
    const uint16_t stored = load_big<uint16_t>(bytes.data() + ip.transport + place);
    // 0 and 0xffff are the same sum.
    if (stored % 0xffff != partial() % 0xffff) wrong++;
    complete_sum(frame);
    if (frame.offload.is_partial() || !has_right_sums(bytes)) wrong++;
  }
  CHECK(wrong == 0);
}

TEST_CASE("what an ICMP error quotes is changed back, and every sum stays right") {
  uint64_t wrong = 0;
  for (int i = 0; i < 100'000; i++) {
    const Made inner = any_packet();
    const Bytes quoted = frame_of(inner);
    const bool v6 = inner.source.v6;
    const size_t header = v6 ? 40 : 20;
    const size_t bytes_quoted = std::min(quoted.size() - 14, header + 8 + any(40));
    Made outer;
    outer.source = v6 ? ipv6(any(1000)) : ipv4(static_cast<uint32_t>(random_numbers()));
    outer.destination = inner.source;
    outer.carried = v6 ? protocol::kIcmp6 : protocol::kIcmp;
    outer.payload.resize(8);
    outer.payload[0] = std::byte{v6 ? uint8_t{1} : uint8_t{3}};
    outer.payload.insert(outer.payload.end(), quoted.begin() + 14,
                         quoted.begin() + 14 + static_cast<long>(bytes_quoted));
    Bytes bytes = frame_of(outer);
    Frame frame{.data = bytes.data(), .length = static_cast<uint32_t>(bytes.size())};
    const Network ip = network_of(bytes);
    const auto quote = read_quote(bytes, ip);
    if (!quote) {
      wrong++;
      continue;
    }
    const Edit edit = any_edit(inner);
    rewrite_quote(frame, ip, *quote, {.source = edit.source, .destination = edit.destination});
    rewrite(frame, ip, {.source = edit.destination, .destination = edit.source, .ttl = 7});
    const bool is_there = quote->source(bytes) == edit.source && quote->destination(bytes) == edit.destination;
    if (!is_there || !has_right_sums(bytes) || !has_good_header(bytes, *quote)) wrong++;
  }
  CHECK(wrong == 0);
}

TEST_CASE("an UDP datagram without a checksum has none afterwards") {
  Made made{.source = ipv4(0x0a010002), .destination = ipv4(0x0a010005), .payload = udp(1000, 2000, 20)};
  Bytes bytes = frame_of(made);
  const Network ip = network_of(bytes);
  store_big<uint16_t>(bytes.data() + ip.transport + 6, uint16_t{0});
  Frame frame{.data = bytes.data(), .length = static_cast<uint32_t>(bytes.size())};
  rewrite(frame, ip, {.source = ipv4(1), .destination = ipv4(2), .ttl = 9});
  CHECK(load_big<uint16_t>(bytes.data() + ip.transport + 6) == 0);
  CHECK(has_good_header(bytes, ip));
}

TEST_CASE("fragments of a packet make up the packet") {
  Made made{.source = ipv4(0x0a010002), .destination = ipv4(0x0a010005), .payload = udp(1000, 2000, 4000)};
  const Bytes bytes = frame_of(made);
  const Network ip = network_of(bytes);
  const auto pieces = forward::fragments(bytes, ip, 1280);
  REQUIRE(pieces.size() == 4);
  Bytes joined;
  for (size_t i = 0; i < pieces.size(); i++) {
    const Network piece = network_of(pieces[i]);
    CHECK(piece.end - piece.start <= 1280);
    CHECK(has_good_header(pieces[i], piece));
    CHECK(piece.more == (i + 1 < pieces.size()));
    CHECK((load_big<uint16_t>(pieces[i].data() + piece.start + 6) & 0x1fffu) * 8 == joined.size());
    joined.insert(joined.end(), pieces[i].begin() + piece.transport, pieces[i].begin() + piece.end);
  }
  CHECK(joined == Bytes(bytes.begin() + ip.transport, bytes.begin() + ip.end));
}

TEST_CASE("IPv6 extension headers lead to the transport header, and a chain without end leads nowhere") {
  Made made{.source = ipv6(1), .destination = ipv6(2), .carried = 0};
  made.payload = Bytes(8);
  made.payload[0] = std::byte{protocol::kUdp};
  const Bytes datagram = udp(1, 2, 4);
  made.payload.insert(made.payload.end(), datagram.begin(), datagram.end());
  const Bytes bytes = frame_of(made);
  const auto ip = read_network(bytes, 14, true);
  REQUIRE(ip);
  CHECK(ip->protocol == protocol::kUdp);
  CHECK(ip->transport == 14 + 40 + 8);
  made.payload = Bytes(8 * 20);  // each says that another one follows
  const Bytes endless = frame_of(made);
  CHECK_FALSE(read_network(endless, 14, true));
}
