// Packets of the daemon's own connections, whoever they are with. WHY left out: over the interface that they go by,
// what is sent to one client would be captured for another, be sent to him, be captured for the first …
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ringtap {

/// An address of IPv6, or one of IPv4 as `::ffff:…` has it.
using AnyAddress = std::array<std::byte, 16>;

class OwnTraffic {
 public:
  struct Connection {
    uint8_t protocol = 0;  // TCP or UDP
    AnyAddress local{};
    AnyAddress peer{};  // zeros: any
    uint16_t local_port = 0;
    uint16_t peer_port = 0;  // 0: any
  };
  /// Of a connection as set() reads it: protocol, a zero, two ports, two zeros, two addresses; all in network order.
  static constexpr size_t kBytes = 40;

  /// From now on these, one behind the other; what is no whole one is not read.
  void set(std::span<const std::byte> connections);
  bool empty() const noexcept { return connections_.empty(); }

  /// Whether the packet belongs to one, tagged with VLANs or not. A fragment that has no ports does where it is of UDP,
  /// and goes from us to somebody who gets datagrams.
  bool has(std::span<const std::byte> packet, uint32_t link_type) const noexcept;

 private:
  struct Seen {
    uint8_t protocol = 0;
    bool is_later_fragment = false;
    AnyAddress source{};
    AnyAddress destination{};
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
  };
  static bool read(std::span<const std::byte> packet, uint32_t link_type, Seen& seen) noexcept;
  static bool read_4(std::span<const std::byte> ip, Seen& seen) noexcept;
  static bool read_6(std::span<const std::byte> ip, Seen& seen) noexcept;
  static bool read_ports(std::span<const std::byte> transport, Seen& seen) noexcept;

  std::vector<Connection> connections_;
  std::bitset<65536> ports_;  // of ours
};

}  // namespace ringtap
