#include "rewrite/edits.h"

#include <algorithm>
#include <cstring>

#include "core/byte_order.h"
#include "core/checksum.h"
#include "decode/decode.h"

namespace ringtap::rewrite {

namespace {

constexpr uint8_t kIcmp6 = 58;
constexpr size_t kMacs = 12;
constexpr size_t kTag = 4;

bool is_tag(uint16_t type) noexcept { return type == 0x8100 || type == 0x88a8; }

/// Whether the address begins as the network does.
bool is_in(const Network& network, const std::byte* address) noexcept {
  const size_t whole = network.bits / 8;
  if (!std::equal(address, address + whole, network.address.begin())) return false;
  const uint32_t rest = network.bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::byte>(0xff00u >> rest);
  return ((address[whole] ^ network.address[whole]) & mask) == std::byte{0};
}

/// The address with the network's bits in front.
void move_to(const Network& network, std::byte* address) noexcept {
  for (uint32_t i = 0; i < network.width(); i++) {
    const int bits = std::clamp(static_cast<int>(network.bits) - static_cast<int>(8 * i), 0, 8);
    const auto mask = static_cast<std::byte>(0xff00u >> bits);
    address[i] = (address[i] & ~mask) | (network.address[i] & mask);
  }
}

/// Where the checksum lies in the transport header that covers addresses, too; 0 where there is none.
uint32_t checksum_at(uint8_t protocol) noexcept {
  switch (protocol) {
    case decode::kTcpProtocol:
      return 16;
    case decode::kUdp:
    case decode::kUdpLite:
    case decode::kDccp:
      return 6;
    case kIcmp6:
      return 2;
    default:
      return 0;
  }
}

/// One IP packet while it is edited.
class Packet {
 public:
  Packet(std::span<std::byte> bytes, const decode::Headers& headers) noexcept : bytes_(bytes), headers_(headers) {
    const bool is_v6 = headers.ip_version == 6;
    addresses_ = is_v6 ? headers.addresses6 : headers.network_offset + 12;
    width_ = is_v6 ? 16 : 4;
    const uint32_t offset = headers.fragment_offset == 0 ? checksum_at(headers.protocol) : 0;
    // ICMP over IPv4 has no pseudo-header.
    if (offset == 0 || headers.transport_offset == decode::kAbsent || (headers.protocol == kIcmp6 && !is_v6)) return;
    if (size_t{headers.transport_offset} + offset + 2 <= bytes.size()) checksum_ = headers.transport_offset + offset;
  }

  bool has_addresses() const noexcept { return size_t{addresses_} + size_t{2} * width_ <= bytes_.size(); }
  std::span<std::byte> both_addresses() const noexcept { return bytes_.subspan(addresses_, size_t{2} * width_); }

  /// Before anything changes.
  void look() noexcept {
    if (checksum_ == 0 || !has_addresses()) return;
    const uint8_t protocol = headers_.protocol;
    if (protocol != decode::kTcpProtocol && protocol != decode::kUdp) return;
    is_partial_ = checksum::is_partial(load_big<uint16_t>(at(checksum_)), pseudo_header());
  }

  void map(const std::vector<Mapping>& mappings) noexcept {
    if (!has_addresses()) return;
    for (uint32_t i = 0; i < 2; i++) {
      const auto address = bytes_.subspan(addresses_ + i * width_, width_);
      for (const Mapping& mapping : mappings) {
        if (mapping.from.is_v6 != (width_ == 16) || !is_in(mapping.from, address.data())) continue;
        std::array<std::byte, 16> after{};
        std::copy(address.begin(), address.end(), after.begin());
        move_to(mapping.to, after.data());
        addresses_changed_.replace(address, std::span(after).first(width_));
        std::copy_n(after.begin(), width_, address.begin());
        break;
      }
    }
  }

  void set_port(uint32_t offset, std::optional<uint16_t> port) noexcept {
    if (!port || (headers_.flags & decode::kPorts) == 0 || headers_.protocol == decode::kSctp) return;
    std::byte* field = at(headers_.transport_offset + offset);
    ports_changed_.replace16(load_big<uint16_t>(field), *port);
    store_big(field, *port);
  }

  /// 16 bits of an IPv4 header, of which those in `mask` become `value`.
  void set_header4(uint32_t offset, uint16_t mask, uint16_t value) noexcept {
    std::byte* field = at(headers_.network_offset + offset);
    const auto before = load_big<uint16_t>(field);
    const auto after = static_cast<uint16_t>((before & ~mask) | (value & mask));
    header_changed_.replace16(before, after);
    store_big(field, after);
  }

  void finish() noexcept {
    if (headers_.ip_version == 4) {
      std::byte* sum = at(headers_.network_offset + 10);
      uint16_t now = load_big<uint16_t>(sum);
      if (!addresses_changed_.empty()) now = addresses_changed_.applied(now);
      if (!header_changed_.empty()) now = header_changed_.applied(now);
      store_big(sum, now);
    }
    if (checksum_ == 0 || (addresses_changed_.empty() && ports_changed_.empty())) return;
    std::byte* sum = at(checksum_);
    const auto before = load_big<uint16_t>(sum);
    if (is_partial_) {
      store_big(sum, whole().value_or(addresses_changed_.applied_partial(before)));
      return;
    }
    const bool is_udp = headers_.protocol == decode::kUdp;
    const auto follow = [&](uint16_t now, const checksum::Delta& delta) {
      if (delta.empty()) return now;
      return is_udp ? delta.applied_udp(now) : delta.applied(now);
    };
    store_big(sum, follow(follow(before, addresses_changed_), ports_changed_));
  }

 private:
  std::byte* at(uint64_t offset) const noexcept { return bytes_.data() + offset; }

  /// Bytes from the transport header to the end of the packet, as IP has it.
  uint32_t length() const noexcept {
    const uint32_t end = headers_.network_offset + headers_.total_length;
    return end > headers_.transport_offset ? end - headers_.transport_offset : 0;
  }

  uint64_t pseudo_header() const noexcept {
    return checksum::pseudo_header(both_addresses(), headers_.protocol, length());
  }

  /// The checksum, summed up anew; nothing where not all is there.
  std::optional<uint16_t> whole() const noexcept {
    const uint32_t bytes = length();
    if ((headers_.flags & decode::kFragment) != 0 || size_t{headers_.transport_offset} + bytes > bytes_.size() ||
        checksum_ + 2 > headers_.transport_offset + bytes) {
      return std::nullopt;
    }
    store_big(at(checksum_), uint16_t{0});
    const uint16_t sum =
        checksum::of(pseudo_header() + checksum::sum(bytes_.subspan(headers_.transport_offset, bytes)));
    return sum == 0 && headers_.protocol == decode::kUdp ? uint16_t{0xffff} : sum;
  }

  const std::span<std::byte> bytes_;
  const decode::Headers& headers_;
  uint32_t addresses_ = 0;
  uint32_t width_ = 4;
  uint32_t checksum_ = 0;  // where it lies
  bool is_partial_ = false;
  checksum::Delta addresses_changed_;
  checksum::Delta ports_changed_;
  checksum::Delta header_changed_;
};

void edit_ip(const Edits& edits, std::span<std::byte> frame, uint32_t wirelen) noexcept {
  if (edits.addresses.empty() && !edits.src_port && !edits.dst_port && !edits.ttl && !edits.dscp) return;
  const decode::Headers headers = decode::decode_packet(frame, wirelen, 1);
  const bool is_v6 = headers.ip_version == 6;
  if (headers.ip_version == 0) return;
  const size_t header = is_v6 ? 40 : 20;
  if (size_t{headers.network_offset} + header > frame.size()) return;
  Packet packet(frame, headers);
  packet.look();
  packet.map(edits.addresses);
  packet.set_port(0, edits.src_port);
  packet.set_port(2, edits.dst_port);
  std::byte* ip = frame.data() + headers.network_offset;
  if (edits.dscp) {
    if (is_v6) {
      const auto first = load_big<uint16_t>(ip);
      store_big(ip, static_cast<uint16_t>((first & ~0x0fc0u) | (*edits.dscp & 0x3fu) << 6));
    } else {
      packet.set_header4(0, 0x00fc, static_cast<uint16_t>((*edits.dscp & 0x3fu) << 2));
    }
  }
  if (edits.ttl) {
    if (is_v6) {
      ip[7] = static_cast<std::byte>(*edits.ttl);
    } else {
      packet.set_header4(8, 0xff00, static_cast<uint16_t>(*edits.ttl << 8));
    }
  }
  packet.finish();
}

std::span<std::byte> edit_tag(const Edits& edits, std::span<std::byte> room, std::span<std::byte> frame) noexcept {
  const bool is_tagged = frame.size() >= kMacs + kTag + 2 && is_tag(load_big<uint16_t>(frame.data() + kMacs));
  switch (edits.vlan) {
    case Vlan::kSet:
      if (is_tagged) store_big(frame.data() + kMacs + 2, edits.vlan_tci);
      return frame;
    case Vlan::kPop:
      if (!is_tagged) return frame;
      std::memmove(frame.data() + kTag, frame.data(), kMacs);
      return frame.subspan(kTag);
    case Vlan::kPush: {
      std::memmove(room.data(), frame.data(), kMacs);
      store_big(store_big(room.data() + kMacs, uint16_t{0x8100}), edits.vlan_tci);
      return room;
    }
    default:
      return frame;
  }
}

}  // namespace

bool Edits::empty() const noexcept {
  return !src_mac && !dst_mac && vlan == Vlan::kKeep && addresses.empty() && !src_port && !dst_port && !ttl && !dscp;
}

std::span<std::byte> apply(const Edits& edits, std::span<std::byte> room, uint32_t wirelen) noexcept {
  std::span<std::byte> frame = room.subspan(std::min(kHeadroom, room.size()));
  if (frame.size() < kMacs + 2) return frame;
  edit_ip(edits, frame, wirelen);
  if (edits.dst_mac) std::copy(edits.dst_mac->begin(), edits.dst_mac->end(), frame.begin());
  if (edits.src_mac) std::copy(edits.src_mac->begin(), edits.src_mac->end(), frame.begin() + 6);
  return edit_tag(edits, room, frame);
}

}  // namespace ringtap::rewrite
