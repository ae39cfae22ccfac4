#include "replay/sides.h"

#include <algorithm>
#include <tuple>

#include "core/byte_order.h"
#include "decode/decode.h"

namespace ringtap::replay {

namespace {

constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kAck = 0x10;

using Address = std::array<std::byte, 16>;

bool is_in(const rewrite::Network& network, const Address& address, bool is_v6) {
  if (network.is_v6 != is_v6) return false;
  for (uint32_t bit = 0; bit < network.bits; bit++) {
    const auto mask = static_cast<std::byte>(0x80u >> bit % 8);
    if (((address[bit / 8] ^ network.address[bit / 8]) & mask) != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

bool Sides::is_client(std::span<const std::byte> frame, uint32_t wirelen) {
  if (frame.size() < 12) return true;
  if (!macs.empty()) {
    return std::any_of(macs.begin(), macs.end(),
                       [&](const rewrite::Mac& mac) { return std::equal(mac.begin(), mac.end(), frame.begin() + 6); });
  }
  const decode::Headers headers = decode::decode_packet(frame, wirelen, 1);
  Address source{};
  Address destination{};
  const bool is_v6 = headers.ip_version == 6 && headers.addresses6 != decode::kAbsent;
  if (headers.ip_version == 4) {
    store_big(source.data(), headers.src4);
    store_big(destination.data(), headers.dst4);
  } else if (is_v6) {
    std::copy_n(frame.begin() + headers.addresses6, 16, source.begin());
    std::copy_n(frame.begin() + headers.addresses6 + 16, 16, destination.begin());
  } else {
    std::copy_n(frame.begin() + 6, 6, source.begin());
    std::copy_n(frame.begin(), 6, destination.begin());
  }
  if (!networks.empty()) {
    return headers.ip_version == 0 ||
           std::any_of(networks.begin(), networks.end(), [&](const auto& each) { return is_in(each, source, is_v6); });
  }
  const bool is_lower = source < destination;
  Key key{};
  const auto& [first, second] = is_lower ? std::tie(source, destination) : std::tie(destination, source);
  std::copy(first.begin(), first.end(), key.begin());
  std::copy(second.begin(), second.end(), key.begin() + 16);
  key[32] = static_cast<std::byte>(headers.ip_version);
  const bool answers = (headers.flags & decode::kTcp) != 0 && (headers.tcp_flags & (kSyn | kAck)) == (kSyn | kAck);
  const auto [known, is_new] = lower_is_client_.try_emplace(key, is_lower != answers);
  return known->second == is_lower;
}

}  // namespace ringtap::replay
