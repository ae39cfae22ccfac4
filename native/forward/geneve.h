// GENEVE (RFC 8926), as balancers speak it to appliances behind them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "forward/frame.h"

namespace ringtap::forward {

inline constexpr uint16_t kGenevePort = 6081;

/// Whether it is an UDP datagram to the port of GENEVE, or the first fragment of one.
bool is_geneve(std::span<const std::byte> frame, const Network& ip) noexcept;

/// What a datagram carries.
struct Geneve {
  uint16_t type = 0;   // of the packet: as of Ethernet, or kGeneveEthernet
  uint32_t inner = 0;  // where it begins
  uint32_t end = 0;    // and ends
};
inline constexpr uint16_t kGeneveEthernet = 0x6558;

/// Nothing where the datagram, its header, an option, or the packet that it carries contradicts itself or is not whole;
/// nor of control messages, which carry none. `frame` is_geneve(), and no fragment.
std::optional<Geneve> read_geneve(std::span<const std::byte> frame, const Network& ip) noexcept;

}  // namespace ringtap::forward
