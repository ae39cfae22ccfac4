#include "protocol/community_id.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "flow/sighting.h"
#include "protocol/digest.h"

namespace ringtap::protocol {

namespace {

constexpr uint8_t kIcmp6 = 58;

/// Of ends in the order that the id wants: the lower one first.
std::string community_id(uint8_t protocol, const Address& a, uint16_t port_a, const Address& b, uint16_t port_b) {
  std::array<std::byte, 2 + 32 + 2 + 4> bytes{};
  std::byte* at = bytes.data() + 2;  // behind the seed
  for (const Address* each : {&a, &b}) {
    std::memcpy(at, each->bytes.data(), each->size);
    at += each->size;
  }
  at = store(at, protocol);
  at = store(at, uint8_t{0});
  at = store_big(at, port_a);
  at = store_big(at, port_b);
  const auto hash = sha1({bytes.data(), static_cast<size_t>(at - bytes.data())});
  return "1:" + base64_of(hash);
}

/// What answers a message of this type, and is of the same id; -1: nothing does.
constexpr int icmp_answer(bool six, uint8_t type) noexcept {
  constexpr std::array<std::pair<uint8_t, uint8_t>, 5> kPairs4 = {{{8, 0}, {13, 14}, {15, 16}, {17, 18}, {10, 9}}};
  constexpr std::array<std::pair<uint8_t, uint8_t>, 6> kPairs6 = {
      {{128, 129}, {133, 134}, {135, 136}, {130, 131}, {139, 140}, {144, 145}}};
  const auto in = [type](const auto& pairs) {
    for (const auto& [asks, answers] : pairs) {
      if (type == asks) return int{answers};
      if (type == answers) return int{asks};
    }
    return -1;
  };
  return six ? in(kPairs6) : in(kPairs4);
}

/// Of ICMP: the type and what answers it are its ports; of what nothing answers type and code, in the order of the
/// packet. `a` is the lower address.
std::string icmp_community_id(uint8_t protocol, const Address& a, const Address& b, const flow::Sighting& seen) {
  const int answer = icmp_answer(protocol == kIcmp6, seen.icmp_type);
  const bool is_two_way = answer >= 0;
  const uint16_t from = seen.icmp_type;
  const auto to = static_cast<uint16_t>(is_two_way ? answer : seen.icmp_code);
  const bool is_same = std::ranges::equal(a.span(), b.span());
  const bool turned = is_two_way && is_same ? from > to : seen.from_b;
  if (!is_two_way && seen.from_b) return community_id(protocol, b, from, a, to);
  return turned ? community_id(protocol, a, to, b, from) : community_id(protocol, a, from, b, to);
}

}  // namespace

Address address_of(const flow::Key& key, bool of_b) noexcept {
  Address address{};
  const size_t at = of_b ? 2 : 0;
  if (key.version() == 4) {
    address.size = 4;
    store_big(address.bytes.data(), static_cast<uint32_t>(key.words[at]));
  } else {
    address.size = 16;
    store_big(address.bytes.data(), key.words[at]);
    store_big(address.bytes.data() + 8, key.words[at + 1]);
  }
  return address;
}

std::string community_id(const flow::Key& key, const flow::Sighting* icmp) {
  const Address a = address_of(key, false);
  const Address b = address_of(key, true);
  return icmp != nullptr ? icmp_community_id(key.protocol(), a, b, *icmp)
                         : community_id(key.protocol(), a, key.port_a(), b, key.port_b());
}

}  // namespace ringtap::protocol
