#include "backends/synth/frames.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/text.h"

namespace ringtap::synth {

namespace {

constexpr uint32_t kMaxFrame = 9018;

bool is_v6(Protocol p) { return p == Protocol::kUdp6 || p == Protocol::kTcp6 || p == Protocol::kIcmp6; }

uint32_t header_bytes(Protocol p) {
  if (p == Protocol::kArp) return 14 + 28;
  const uint32_t ip = is_v6(p) ? 40 : 20;
  const uint32_t l4 = (p == Protocol::kTcp || p == Protocol::kTcp6) ? 20 : 8;
  return 14 + ip + l4;
}

void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

uint32_t sum16(const uint8_t* at, size_t bytes, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < bytes; i += 2) sum += uint32_t{at[i]} << 8 | at[i + 1];
  if (bytes % 2 != 0) sum += uint32_t{at[bytes - 1]} << 8;
  return sum;
}

uint16_t fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

uint16_t port(uint32_t flow) {
  static constexpr uint16_t kServices[] = {53, 80, 123, 443, 5060, 8080, 22, 25};
  return kServices[flow % std::size(kServices)];
}

}  // namespace

Result<Profile> parse_profile(const std::string& sizes, const std::string& protocols) {
  Profile profile;
  const auto bad = [](std::string what) { return Error{.code = Code::kBadOption, .message = std::move(what)}; };
  if (sizes == "imix") {
    profile.sizes = {64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1518};
  } else {
    unsigned low = 0;
    const char* const end = sizes.data() + sizes.size();
    auto read = std::from_chars(sizes.data(), end, low);
    if (read.ec != std::errc())
      return bad("sizes: \"" + sizes + "\" is neither a number, a range such as 64-1518, nor imix");
    unsigned high = low;
    if (read.ptr != end) {
      if (*read.ptr == '-')
        read = std::from_chars(read.ptr + 1, end, high);
      else
        read.ec = std::errc::invalid_argument;
      if (read.ec != std::errc()) return bad("sizes: \"" + sizes + "\" is not a range such as 64-1518");
    }
    if (read.ptr != end || low < 60 || high > kMaxFrame || low > high) {
      return bad("sizes: \"" + sizes + "\" must lie between 60 and " + std::to_string(kMaxFrame) + " bytes");
    }
    profile.min_size = low;
    profile.max_size = high;
  }
  static constexpr struct {
    const char* name;
    Protocol protocol;
  } kNames[] = {{"udp", Protocol::kUdp},   {"tcp", Protocol::kTcp},   {"icmp", Protocol::kIcmp},
                {"udp6", Protocol::kUdp6}, {"tcp6", Protocol::kTcp6}, {"icmp6", Protocol::kIcmp6},
                {"arp", Protocol::kArp}};
  for (const std::string& name : split(protocols, ',')) {
    const auto* found =
        std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& n) { return name == n.name; });
    if (found == std::end(kNames)) {
      return bad("protocols: \"" + name + "\" is none of udp, tcp, icmp, udp6, tcp6, icmp6, arp");
    }
    profile.protocols.push_back(found->protocol);
  }
  if (profile.protocols.empty()) return bad("protocols: name at least one");
  return profile;
}

uint32_t draw_size(const Profile& profile, Protocol protocol, Random& random) {
  const uint32_t drawn = profile.sizes.empty()
                             ? profile.min_size + random.below(profile.max_size - profile.min_size + 1)
                             : profile.sizes[random.below(static_cast<uint32_t>(profile.sizes.size()))];
  return std::max(drawn, header_bytes(protocol) + (profile.vlan != 0 ? 4 : 0));
}

void write_frame(std::byte* at, uint32_t size, Protocol protocol, uint32_t flow, uint16_t vlan, Random& random) {
  auto* p = reinterpret_cast<uint8_t*>(at);  // SAFETY: bytes seen as bytes
  std::memset(p, 0, size);
  put32(p, 0x02000000);
  put16(p + 4, 0x0002);
  put32(p + 6, 0x02000000);
  put16(p + 10, 0x0001);
  uint8_t* type = p + 12;
  if (vlan != 0) {
    put16(type, 0x8100);
    put16(type + 2, vlan);
    type += 4;
  }
  uint8_t* l3 = type + 2;
  const auto l3_bytes = static_cast<uint32_t>(p + size - l3);
  if (protocol == Protocol::kArp) {
    put16(type, 0x0806);
    put32(l3, 0x00010800);
    put32(l3 + 4, 0x06040001);
    std::memcpy(l3 + 8, p + 6, 6);
    put32(l3 + 14, 0x0a000000 | (flow & 0xffffff));
    put32(l3 + 24, 0x0a000001);
    return;
  }
  const bool v6 = is_v6(protocol);
  uint8_t* l4 = l3 + (v6 ? 40 : 20);
  const auto l4_bytes = static_cast<uint32_t>(p + size - l4);
  const uint8_t number = protocol == Protocol::kUdp || protocol == Protocol::kUdp6   ? 17
                         : protocol == Protocol::kTcp || protocol == Protocol::kTcp6 ? 6
                         : v6                                                        ? 58
                                                                                     : 1;
  if (v6) {
    put16(type, 0x86dd);
    put32(l3, 0x60000000);
    put16(l3 + 4, l4_bytes);
    l3[6] = number;
    l3[7] = 64;
    put32(l3 + 8, 0xfd000000);
    put32(l3 + 20, flow);
    put32(l3 + 24, 0xfd000000);
    put32(l3 + 36, 1);
  } else {
    put16(type, 0x0800);
    l3[0] = 0x45;
    put16(l3 + 2, l3_bytes);
    put16(l3 + 4, static_cast<uint32_t>(random.next()) & 0xffff);
    l3[8] = 64;
    l3[9] = number;
    put32(l3 + 12, 0x0a000000 | (flow & 0xffffff));
    put32(l3 + 16, 0x0a800001);
    put16(l3 + 10, fold(sum16(l3, 20)));
  }
  for (uint8_t* q = l4; q + 8 <= p + size; q += 8) {
    const uint64_t noise = random.next();
    std::memcpy(q, &noise, 8);
  }
  uint8_t* checksum = nullptr;
  if (number == 17) {
    put16(l4, 1024 + flow % 60000);
    put16(l4 + 2, port(flow));
    put16(l4 + 4, l4_bytes);
    checksum = l4 + 6;
  } else if (number == 6) {
    put16(l4, 1024 + flow % 60000);
    put16(l4 + 2, port(flow));
    put16(l4 + 12, 0x5018);
    put16(l4 + 14, 0xffff);
    put16(l4 + 18, 0);
    checksum = l4 + 16;
  } else {
    l4[0] = v6 ? 128 : 8;
    l4[1] = 0;
    checksum = l4 + 2;
  }
  put16(checksum, 0);
  uint32_t sum = sum16(l4, l4_bytes);
  if (number != 1) {
    sum = v6 ? sum16(l3 + 8, 32, sum) : sum16(l3 + 12, 8, sum);
    sum += number + l4_bytes;
  }
  const uint16_t folded = fold(sum);
  put16(checksum, number == 17 && folded == 0 ? 0xffff : folded);
}

}  // namespace ringtap::synth
