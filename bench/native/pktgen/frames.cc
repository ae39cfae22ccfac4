#include "frames.h"

#include <time.h>

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace pktgen {
namespace {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;
constexpr uint32_t kMaxFrame = 9018;

void put16(std::byte* at, uint32_t value) {
  at[0] = static_cast<std::byte>(value >> 8);
  at[1] = static_cast<std::byte>(value);
}

void put64(std::byte* at, uint64_t value) {
  for (int i = 7; i >= 0; i--, value >>= 8) at[i] = static_cast<std::byte>(value);
}

uint64_t sum16(const std::byte* bytes, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += std::to_integer<uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  return sum;
}

uint16_t fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// A well-mixed function of the number, so that sizes look random and still repeat.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint32_t parse_size(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument("--size: expected 60, 60-1514 or imix, got " + std::string(text));
  return value;
}

}  // namespace

Frames::Frames(const FrameOptions& options) : options_(options) {
  const std::string& p = options.proto;
  v6_ = !p.empty() && p.back() == '6';
  const std::string base = v6_ ? p.substr(0, p.size() - 1) : p;
  if (base == "udp") {
    ip_proto_ = kUdp;
  } else if (base == "tcp") {
    ip_proto_ = kTcp;
  } else if (base == "icmp") {
    ip_proto_ = v6_ ? kIcmp6 : kIcmp;
  } else {
    throw std::invalid_argument("--proto: expected udp, tcp, icmp, udp6, tcp6 or icmp6, got " + p);
  }
  if (options.flows < 1 || options.flows > kMaxFlows)
    throw std::invalid_argument("--flows: expected 1 to " + std::to_string(kMaxFlows));
  if (options.vlan > 4094) throw std::invalid_argument("--vlan: expected 0 to 4094");

  l3_ = options.vlan != 0 ? 18 : 14;
  l4_ = l3_ + (v6_ ? 40 : 20);
  payload_ = l4_ + (ip_proto_ == kTcp ? 20 : 8);
  const uint32_t least = payload_ + (options.stamp ? 16 : 8);

  if (const size_t dash = options.size.find('-'); dash != std::string::npos) {
    const uint32_t from = parse_size(std::string_view(options.size).substr(0, dash));
    const uint32_t to = parse_size(std::string_view(options.size).substr(dash + 1));
    if (to < from || to > kMaxFrame) throw std::invalid_argument("--size: no such range: " + options.size);
    for (uint32_t size = from; size <= to; size++) sizes_.push_back(size);
  } else if (options.size == "imix") {
    sizes_ = {60, 566, 60, 566, 60, 1514, 60, 566, 60, 566, 60, 60};  // 7:4:1
    for (uint32_t& size : sizes_) size = std::max(size, least);
  } else {
    sizes_ = {parse_size(options.size)};
  }
  for (const uint32_t size : sizes_) {
    if (size < least || size > kMaxFrame)
      throw std::invalid_argument("--size: these frames need " + std::to_string(least) + " to " +
                                  std::to_string(kMaxFrame) + " bytes, got " + std::to_string(size));
    max_size_ = std::max(max_size_, size);
    if (!templates_.contains(size)) templates_.emplace(size, build(size));
  }
}

size_t Frames::pick(uint64_t number) const { return (options_.size == "imix" ? number : mix(number)) % sizes_.size(); }

std::vector<std::byte> Frames::build(uint32_t size) const {
  std::vector<std::byte> frame(size);
  std::byte* const f = frame.data();
  // Locally administered addresses that no interface has: the receiving stack drops the frame early.
  f[0] = f[6] = std::byte{0x02};
  f[5] = std::byte{2};
  f[11] = std::byte{1};
  uint32_t type_at = 12;
  if (options_.vlan != 0) {
    put16(f + 12, 0x8100);
    put16(f + 14, options_.vlan);
    type_at = 16;
  }
  put16(f + type_at, v6_ ? 0x86dd : 0x0800);

  std::byte* const ip = f + l3_;
  if (v6_) {
    ip[0] = std::byte{0x60};
    put16(ip + 4, size - l4_);
    ip[6] = static_cast<std::byte>(ip_proto_);
    ip[7] = std::byte{64};
    // 2001:2::/48 is reserved for benchmarks (RFC 5180).
    put16(ip + 8, 0x2001), put16(ip + 10, 0x0002), ip[23] = std::byte{1};
    put16(ip + 24, 0x2001), put16(ip + 26, 0x0002), ip[39] = std::byte{2};
  } else {
    ip[0] = std::byte{0x45};
    put16(ip + 2, size - l3_);
    ip[6] = std::byte{0x40};  // don't fragment
    ip[8] = std::byte{64};
    ip[9] = static_cast<std::byte>(ip_proto_);
    // 198.18.0.0/15 is reserved for benchmarks (RFC 2544).
    ip[12] = std::byte{198}, ip[13] = std::byte{18}, ip[15] = std::byte{1};
    ip[16] = std::byte{198}, ip[17] = std::byte{19}, ip[19] = std::byte{1};
    put16(ip + 10, fold(sum16(ip, 20)));
  }

  std::byte* const l4 = f + l4_;
  if (ip_proto_ == kUdp) {
    put16(l4 + 2, 9);  // discard
    put16(l4 + 4, size - l4_);
  } else if (ip_proto_ == kTcp) {
    put16(l4 + 2, 9);
    put16(l4 + 12, 0x5010);  // 20 bytes of header, ACK
    put16(l4 + 14, 0xffff);
  } else {
    l4[0] = std::byte{static_cast<uint8_t>(v6_ ? 128 : 8)};  // echo request
  }
  return frame;
}

void Frames::checksum_l4(std::byte* frame, uint32_t size) const {
  const uint32_t at = ip_proto_ == kTcp ? 16 : ip_proto_ == kUdp ? 6 : 2;
  std::byte* const l4 = frame + l4_;
  put16(l4 + at, 0);
  uint64_t sum = sum16(l4, size - l4_);
  if (ip_proto_ != kIcmp) {  // all others count a pseudo header
    sum += sum16(frame + l3_ + (v6_ ? 8 : 12), v6_ ? 32 : 8) + ip_proto_ + (size - l4_);
  }
  const uint16_t folded = fold(sum);
  put16(l4 + at, folded == 0 ? 0xffff : folded);
}

uint32_t Frames::write(std::byte* out, uint64_t number) const {
  const uint32_t length = size(number);
  std::memcpy(out, templates_.find(length)->second.data(), length);
  const uint32_t flow = static_cast<uint32_t>(number % options_.flows);
  const bool icmp = ip_proto_ == kIcmp || ip_proto_ == kIcmp6;
  put16(out + l4_ + (icmp ? 4 : 0), kFirstPort + flow);  // the identifier of an echo is its flow
  put64(out + payload_, number);
  if (options_.stamp) {
    timespec now{};
    clock_gettime(CLOCK_TAI, &now);
    put64(out + payload_ + 8, static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec));
  }
  // UDP over IPv4 may go without a checksum, and the fast case does.
  if (v6_ || ip_proto_ != kUdp) checksum_l4(out, length);
  return length;
}

}  // namespace pktgen
