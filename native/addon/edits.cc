#include "addon/edits.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "addon/convert.h"
#include "addon/elements.h"

namespace ringtap::addon {

namespace {

template <class T>
std::optional<T> number_of(const Napi::Value& value) {
  if (!value.IsNumber()) return std::nullopt;
  return static_cast<T>(std::clamp<double>(number(value), 0, static_cast<double>(std::numeric_limits<T>::max())));
}

}  // namespace

std::optional<rewrite::Mac> mac_of(const Napi::Value& value) {
  const auto given = elements<std::byte>(value);
  rewrite::Mac mac{};
  if (given.size() != mac.size()) return std::nullopt;
  std::copy(given.begin(), given.end(), mac.begin());
  return mac;
}

std::optional<rewrite::Network> network_of(const Napi::Value& value) {
  const auto given = elements<std::byte>(value);
  if (given.size() != 5 && given.size() != 17) return std::nullopt;
  rewrite::Network network{.is_v6 = given.size() == 17};
  std::copy(given.begin(), given.end() - 1, network.address.begin());
  network.bits = std::min<uint8_t>(std::to_integer<uint8_t>(given.back()), network.width() * 8);
  return network;
}

rewrite::Edits to_edits(const Napi::Value& value) {
  rewrite::Edits edits;
  if (!value.IsObject()) return edits;
  const auto given = value.As<Napi::Object>();
  edits.src_mac = mac_of(given.Get("srcMac"));
  edits.dst_mac = mac_of(given.Get("dstMac"));
  const std::string vlan = given.Get("vlan").IsString() ? text(given.Get("vlan")) : "";
  edits.vlan = vlan == "pop"    ? rewrite::Vlan::kPop
               : vlan == "push" ? rewrite::Vlan::kPush
               : vlan == "set"  ? rewrite::Vlan::kSet
                                : rewrite::Vlan::kKeep;
  edits.vlan_tci = number_of<uint16_t>(given.Get("vlanTci")).value_or(0);
  if (given.Get("addresses").IsArray()) {
    const auto list = given.Get("addresses").As<Napi::Array>();
    for (uint32_t i = 0; i + 1 < list.Length(); i += 2) {
      const auto from = network_of(list.Get(i));
      const auto to = network_of(list.Get(i + 1));
      if (from && to && from->is_v6 == to->is_v6) edits.addresses.push_back({*from, *to});
    }
  }
  edits.src_port = number_of<uint16_t>(given.Get("srcPort"));
  edits.dst_port = number_of<uint16_t>(given.Get("dstPort"));
  edits.ttl = number_of<uint8_t>(given.Get("ttl"));
  edits.decrement_ttl = flag(given.Get("decrementTtl"));
  edits.dscp = number_of<uint8_t>(given.Get("dscp"));
  return edits;
}

}  // namespace ringtap::addon
