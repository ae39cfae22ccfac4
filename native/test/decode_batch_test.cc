// Batches: the same numbers in columns.
#include <doctest/doctest.h>

#include <cstring>

#include "core/desc.h"
#include "decode_frames.h"

using namespace ringtap;
using namespace ringtap::decode;

namespace {

struct Filled {
  std::vector<uint32_t> memory;
  Columns columns;
  explicit Filled(uint32_t capacity)
      : memory((Columns::bytes_for(capacity) + 3) / 4, 0xa5a5a5a5),
        columns(Columns::over(reinterpret_cast<std::byte*>(memory.data()), capacity)) {}
};

}  // namespace

TEST_CASE("a batch has the numbers of its packets, and offsets of its segment") {
  Frame segment(3);
  std::vector<uint32_t> offset;
  std::vector<uint32_t> caplen;
  std::vector<Frame> frames;
  for (const auto& [link_type, frame] : samples()) {
    if (link_type != kLinkEthernet) continue;
    offset.push_back(static_cast<uint32_t>(segment.size()));
    caplen.push_back(static_cast<uint32_t>(frame.size()));
    frames.push_back(frame);
    segment = segment + frame + Frame(5);
  }
  const auto count = static_cast<uint32_t>(offset.size());
  const std::vector<uint32_t> flags(count);
  const std::vector<uint16_t> vlan(count);
  Filled filled(count + 2);
  const Columns& c = filled.columns;
  CHECK(decode_batch({offset.data(), caplen.data(), caplen.data(), flags.data(), vlan.data(), count, segment.data(),
                      segment.size(), kLinkEthernet},
                     c) == count);
  const auto from = [&](uint32_t i, uint32_t at) { return at == kAbsent ? kAbsent : offset[i] + at; };
  for (uint32_t i = 0; i < count; i++) {
    CAPTURE(i);
    const Headers found = decoded(frames[i]);
    CHECK(c.flags[i] == found.flags);
    CHECK(c.network_offset[i] == from(i, found.network_offset));
    CHECK(c.transport_offset[i] == from(i, found.transport_offset));
    CHECK(c.payload_offset[i] == from(i, found.payload_offset));
    CHECK(c.payload_length[i] == found.payload_length);
    CHECK(c.payload_caplen[i] == found.payload_caplen);
    CHECK(c.total_length[i] == found.total_length);
    CHECK(c.src4[i] == found.src4);
    CHECK(c.dst4[i] == found.dst4);
    CHECK(c.fragment_id[i] == found.fragment_id);
    CHECK(c.sequence[i] == found.sequence);
    CHECK(c.acknowledgment[i] == found.acknowledgment);
    CHECK(c.flow_hash[i] == found.flow_hash);
    CHECK(c.ether_type[i] == found.ether_type);
    CHECK(c.outer_tpid[i] == found.outer_tpid);
    CHECK(c.outer_tci[i] == found.outer_tci);
    CHECK(c.inner_tpid[i] == found.inner_tpid);
    CHECK(c.inner_tci[i] == found.inner_tci);
    CHECK(c.fragment_offset[i] == found.fragment_offset);
    CHECK(c.src_port[i] == found.src_port);
    CHECK(c.dst_port[i] == found.dst_port);
    CHECK(c.window[i] == found.window);
    CHECK(c.vlan_count[i] == found.vlan_count);
    CHECK(c.ip_version[i] == found.ip_version);
    CHECK(c.ip_header_length[i] == found.ip_header_length);
    CHECK(c.traffic_class[i] == found.traffic_class);
    CHECK(c.ttl[i] == found.ttl);
    CHECK(c.protocol[i] == found.protocol);
    CHECK(c.tcp_flags[i] == found.tcp_flags);
    if (found.ip_version == 6) {
      CHECK(std::memcmp(&c.src6[i], frames[i].data() + found.addresses6, 16) == 0);
      CHECK(std::memcmp(&c.dst6[i], frames[i].data() + found.addresses6 + 16, 16) == 0);
    } else {
      CHECK(c.src6[i] == Address6{std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5},
                                  std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5},
                                  std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5}, std::byte{0xa5},
                                  std::byte{0xa5}});
    }
  }
  CHECK(c.flags[count] == 0xa5a5a5a5);  // beyond the batch nothing is written
}

TEST_CASE("a batch that was decoded before leaves nothing behind in the columns") {
  const Frame rich = ethernet("88a80064 8100e005 0800", ipv4(6, kTcpSegment));
  const Frame poor = ethernet("0806", hex("0001 0800 0604 0001"));
  const uint32_t offset = 0;
  const uint32_t flags = 0;
  const uint16_t vlan = 0;
  Filled reused(1);
  Filled fresh(1);
  const auto fill = [&](const Frame& frame, const Columns& into) {
    const auto length = static_cast<uint32_t>(frame.size());
    decode_batch({&offset, &length, &length, &flags, &vlan, 1, frame.data(), frame.size(), kLinkEthernet}, into);
  };
  fill(rich, reused.columns);
  fill(poor, reused.columns);
  fill(poor, fresh.columns);
  CHECK(reused.memory == fresh.memory);
}

TEST_CASE("descriptors that point outside the segment are told, and not followed") {
  const Frame frame = ethernet("0800", ipv4(17, kUdpDatagram));
  const auto size = static_cast<uint32_t>(frame.size());
  const std::vector<uint32_t> offset{0, 1, DescBlock::kPoison, UINT32_MAX, size, size + 1};
  const std::vector<uint32_t> caplen{size, size, size, UINT32_MAX, 0, 0};
  const std::vector<uint32_t> flags(6);
  const std::vector<uint16_t> vlan(6);
  Filled filled(6);
  decode_batch({offset.data(), caplen.data(), caplen.data(), flags.data(), vlan.data(), 6, frame.data(), frame.size(),
                kLinkEthernet},
               filled.columns);
  CHECK(filled.columns.flags[0] == kPorts);
  CHECK(filled.columns.flags[4] == kCut);  // no bytes, but within
  for (const uint32_t i : {1, 2, 3, 5}) {
    CHECK(filled.columns.flags[i] == kOutside);
    CHECK(filled.columns.network_offset[i] == kAbsent);
    CHECK(filled.columns.ip_version[i] == 0);
  }
}

TEST_CASE("no more packets are decoded than the columns have room for") {
  const Frame frame = ethernet("0800", ipv4(17, kUdpDatagram));
  const std::vector<uint32_t> offset(5);
  const std::vector<uint32_t> caplen(5, static_cast<uint32_t>(frame.size()));
  const std::vector<uint16_t> vlan(5);
  Filled filled(3);
  CHECK(decode_batch({offset.data(), caplen.data(), caplen.data(), offset.data(), vlan.data(), 5, frame.data(),
                      frame.size(), kLinkEthernet},
                     filled.columns) == 3);
}

TEST_CASE("a VLAN tag that the kernel took out of the bytes comes first") {
  const Frame frame = ethernet("81000007 0800", ipv4(17, kUdpDatagram));
  const uint32_t offset = 0;
  const auto length = static_cast<uint32_t>(frame.size());
  const uint32_t flags = kFlagVlan;
  const uint16_t vlan = 0x2003;
  Filled filled(1);
  CHECK(decode_batch({&offset, &length, &length, &flags, &vlan, 1, frame.data(), frame.size(), kLinkEthernet},
                     filled.columns) == 1);
  CHECK(filled.columns.vlan_count[0] == 2);
  CHECK(filled.columns.outer_tpid[0] == 0x8100);
  CHECK(filled.columns.outer_tci[0] == 0x2003);
  CHECK(filled.columns.inner_tci[0] == 7);
}
