// Which packets are looked at, and for how many each of them stands.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "flow/key.h"

namespace ringtap::flow {

/// Of this interface (PacketDesc::queue), one packet of so many.
struct InterfaceRate {
  uint16_t interface = 0;
  uint16_t packets = 1;
};

/// What a record multiplies by, by the rate in its flow's key: what was seen at different rates has no common factor,
/// so it is in flows of its own.
using Factors = std::array<uint32_t, kRates>;

class Sampling {
 public:
  /// @param packets one of so many @param flows one of so many, with all of its packets @param interfaces those that
  /// have a rate of their own, of kRates different ones at most, `packets` included
  Sampling(uint32_t packets, uint32_t flows, std::span<const InterfaceRate> interfaces)
      : packets_(packets), flows_(flows) {
    factors_.fill(packets * flows);
    uint8_t rates = 1;
    for (const auto& [interface, one_of] : interfaces) {
      uint8_t rate = 0;
      while (rate < rates && factors_[rate] != one_of) rate++;
      if (rate == kRates) {
        assert(false);
        continue;
      }
      if (rate == rates) factors_[rates++] = one_of;
      if (interfaces_.size() <= interface) interfaces_.resize(size_t{interface} + 1);
      interfaces_[interface].rate = rate;
    }
  }

  bool is_by_packet() const noexcept { return packets_ > 1 || !interfaces_.empty(); }
  /// Each interface counts by itself: is it the turn of this packet? @param rate becomes that of its interface
  bool takes_packet(uint16_t interface, uint8_t& rate) noexcept {
    rate = 0;
    if (interface >= interfaces_.size()) return others_++ % packets_ == 0;
    auto& its = interfaces_[interface];
    rate = its.rate;
    return its.turn++ % factors_[rate] == 0;
  }
  bool takes_flow(uint64_t hash) const noexcept {
    return flows_ == 1 || static_cast<uint32_t>(hash) < UINT32_MAX / flows_;
  }
  const Factors& factors() const noexcept { return factors_; }

 private:
  struct Interface {
    uint32_t turn = 0;
    uint8_t rate = 0;
  };

  uint32_t packets_;
  uint32_t flows_;
  uint32_t others_ = 0;  // turn of all interfaces without a rate of their own
  Factors factors_;
  std::vector<Interface> interfaces_;
};

}  // namespace ringtap::flow
