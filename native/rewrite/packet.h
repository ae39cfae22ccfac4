// The headers of an IP packet while they are edited, and the checksums that follow. It knows where they lie; who found
// them, and why they change, is somebody else's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/checksum.h"

namespace ringtap::rewrite {

/// Where the parts of an IP packet lie in its frame. Its network header is there, from its beginning to its addresses.
struct Layout {
  bool v6 = false;
  bool has_transport = true;  // it is no later fragment
  uint8_t protocol = 0;       // of what it carries
  uint32_t network = 0;       // where it begins,
  uint32_t transport = 0;     // where what it carries begins,
  uint32_t end = 0;           // and where what is there of it ends
};

/// Where in its header a protocol keeps a checksum that covers addresses, too; nothing where it has none.
std::optional<uint32_t> sum_place(uint8_t protocol) noexcept;

/// Whether it begins with two ports that its checksum covers.
bool has_ports(uint8_t protocol) noexcept;

/// Whether an ICMP or ICMPv6 message of this type has an id: echo, time stamp, information and address mask.
bool has_id(bool v6, uint8_t type) noexcept;

enum class End : uint8_t { kSource, kDestination };

class Packet {
 public:
  /// What the layout says of the frame is true for as long as this lives.
  Packet(std::span<std::byte> frame, const Layout& at) noexcept : frame_(frame), at_(at) {}

  std::span<std::byte> addresses() const noexcept { return {network(at_.v6 ? 8 : 12), size_t{2} * address_bytes()}; }
  std::span<std::byte> address(End end) const noexcept {
    return addresses().subspan(end == End::kSource ? 0 : address_bytes(), address_bytes());
  }
  void set_address(End end, std::span<const std::byte> to) noexcept;
  /// Where it has ports, and they are there.
  bool has_ports() const noexcept;
  void set_port(End end, uint16_t to) noexcept;
  /// Where it is an ICMP message with an id that is there.
  bool has_id() const noexcept;
  void set_id(uint16_t to) noexcept;
  /// Or hop limit.
  void set_ttl(uint8_t to) noexcept;
  /// The six bits above ECN.
  void set_dscp(uint8_t to) noexcept;

  /// Where in the frame the checksum lies that covers what it carries; nothing where there is none, or it is not there.
  std::optional<uint32_t> transport_sum() const noexcept;
  /// What TCP and UDP of so many bytes cover besides themselves.
  uint64_t pseudo_header(uint32_t bytes) const noexcept {
    return checksum::pseudo_header(addresses(), at_.protocol, bytes);
  }

  /// What the checksum of the transport header is: that, or what a sender leaves to its card, the sum of the
  /// pseudo-header.
  enum class Sum : uint8_t { kWhole, kPartial };
  /// Lets all checksums follow, by as much as has changed: right ones stay right, and wrong ones wrong. Once, at the
  /// end.
  void finish(Sum transport) noexcept;

  /// What all of it, the checksums too, adds to a sum that covers the packet.
  const checksum::Delta& changed() const noexcept { return changed_; }

 private:
  std::byte* network(uint32_t offset) const noexcept { return frame_.data() + at_.network + offset; }
  uint32_t address_bytes() const noexcept { return at_.v6 ? 16 : 4; }
  bool is_icmp4() const noexcept;
  void put(std::byte* at, uint16_t value, checksum::Delta& covers) noexcept;

  const std::span<std::byte> frame_;
  const Layout at_;
  checksum::Delta addresses_;
  checksum::Delta header_;     // of the network header, besides addresses
  checksum::Delta transport_;  // of what the transport's checksum covers, besides addresses
  checksum::Delta changed_;
};

}  // namespace ringtap::rewrite
