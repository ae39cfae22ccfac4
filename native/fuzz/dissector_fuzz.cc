// Arbitrary packets through a meter with all protocols on: whole frames, and TCP segments of a few flows in any order.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/desc.h"
#include "core/link_type.h"
#include "flow/meter.h"
#include "protocol/dissector.h"

using namespace ringtap;

namespace {

struct Input {
  const uint8_t* data;
  size_t size;
  uint8_t byte() {
    if (size == 0) return 0;
    size--;
    return *data++;
  }
};

/// An IPv4 packet of one of four flows, TCP or UDP, with the sequence that the input says.
void frame(Input& input, uint8_t kind, std::vector<std::byte>& out) {
  const auto put = [&](std::initializer_list<unsigned> bytes) {
    for (const unsigned each : bytes) out.push_back(static_cast<std::byte>(each));
  };
  constexpr unsigned kPorts[] = {53, 80, 443, 22};
  const unsigned port = kPorts[kind >> 1 & 3];
  const bool is_back = (kind & 1) != 0;
  const bool is_tcp = (kind & 8) != 0;
  const unsigned at = input.byte();
  const size_t size = std::min<size_t>(input.byte(), input.size);
  const unsigned total = 20 + (is_tcp ? 20 : 8) + static_cast<unsigned>(size);
  put({0x45, 0, total >> 8, total & 255, 0, 0, 0, 0, 64, is_tcp ? 6u : 17u, 0, 0});
  put({10, 0, 0, is_back ? 2u : 1u, 10, 0, 0, is_back ? 1u : 2u});
  if (is_back) put({port >> 8, port & 255, 200, 0});
  if (!is_back) put({200, 0, port >> 8, port & 255});
  if (is_tcp) {
    put({0, 0, at >> 4, (at & 15) << 4, 0, 0, 1, 0, 0x50, (kind & 16) != 0 ? 0x11u : (kind & 32) != 0 ? 2u : 16u});
    put({1, 0, 0, 0, 0, 0});
  } else {
    put({static_cast<unsigned>(size + 8) >> 8, static_cast<unsigned>(size + 8) & 255, 0, 0});
  }
  for (size_t i = 0; i < size; i++) out.push_back(static_cast<std::byte>(input.byte()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input{data, size};
  flow::Options options;
  options.hash_key = {1, 2, 3, 4, 5, 6, 7, 8};
  options.limits.most_flows = 6;
  const auto meter = *flow::Meter::make(options);
  protocol::Dissector dissector({.community_id = true, .most_event_bytes = 1 << 20, .most_memory = 64 << 10});
  meter->set_sink(&dissector);
  std::vector<uint32_t> offset, caplen, wirelen;
  std::vector<std::byte> bytes;
  while (input.size > 0 && offset.size() < 64) {
    const uint8_t kind = input.byte();
    const size_t from = bytes.size();
    if ((kind & 0xc0) == 0xc0) {
      const size_t count = std::min<size_t>(input.byte(), input.size);
      for (size_t i = 0; i < count; i++) bytes.push_back(static_cast<std::byte>(input.byte()));
    } else {
      for (int i = 0; i < 12; i++) bytes.push_back(std::byte{2});
      bytes.push_back(std::byte{8});
      bytes.push_back(std::byte{0});
      frame(input, kind, bytes);
    }
    offset.push_back(static_cast<uint32_t>(from));
    caplen.push_back(static_cast<uint32_t>(bytes.size() - from));
    wirelen.push_back(static_cast<uint32_t>(bytes.size() - from));
  }
  const auto segment = std::make_unique<std::byte[]>(bytes.size());
  if (!bytes.empty()) std::memcpy(segment.get(), bytes.data(), bytes.size());
  const std::vector<uint32_t> flags(offset.size());
  const std::vector<uint16_t> vlan(offset.size());
  std::vector<double> time(offset.size());
  for (size_t i = 0; i < time.size(); i++) time[i] = static_cast<double>(i) * 1e7;
  meter->add({.packets = {.offset = offset.data(),
                          .caplen = caplen.data(),
                          .wirelen = wirelen.data(),
                          .flags = flags.data(),
                          .vlan = vlan.data(),
                          .count = static_cast<uint32_t>(offset.size()),
                          .segment = segment.get(),
                          .segment_bytes = bytes.size(),
                          .link_type = kLinkEthernet},
              .time = time.data(),
              .rest = time.data()});
  meter->flush();
  if (dissector.memory() != 0) std::abort();  // all was given back
  return 0;
}
