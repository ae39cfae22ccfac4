// Frames that we make ourselves: ARP, neighbour discovery, and ICMP errors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "forward/frame.h"

namespace ringtap::forward {

using Bytes = std::vector<std::byte>;

/// The link header of what we make.
struct Envelope {
  Mac to{};
  Mac from{};
  std::span<const std::byte> tags = {};  // VLAN tags, whole
};

/// What ARP, or neighbour discovery, says of somebody.
struct NeighbourTold {
  enum class Kind : uint8_t { kRequest, kReply };
  Kind kind = Kind::kRequest;
  Address sender;  // IPv6: of a reply the one that it is about
  Address target;  // of a request: who is asked for
  Mac mac{};       // of the sender
};
std::optional<NeighbourTold> read_arp(std::span<const std::byte> frame, const Link& link) noexcept;
/// Of a message whose checksum and hop limit are right. `ip` is its header.
std::optional<NeighbourTold> read_discovery(const Frame& frame, const Network& ip) noexcept;
/// Whether it is a message of neighbour discovery at all: of those none is forwarded.
bool is_discovery(std::span<const std::byte> frame, const Network& ip) noexcept;

/// Who has `target`? `own` asks; without it, as one does who looks whether an address is free.
Bytes neighbour_request(const Envelope& envelope, const Address& target, const std::optional<Address>& own);
/// `own` is at `envelope.from`. `solicited`: somebody has asked; else everybody is told.
Bytes neighbour_reply(const Envelope& envelope, const Address& own, const Address& to, const Mac& to_mac,
                      bool solicited);
/// Where a request for this address goes when nobody in particular is asked.
Mac request_group(const Address& target) noexcept;
/// Where everybody of this family hears.
Mac everybody(bool v6) noexcept;

struct IcmpError {
  uint8_t type4, code4, type6, code6;
  uint32_t word;  // of IPv4 "fragmentation needed" and IPv6 "packet too big": the MTU
};
inline constexpr IcmpError kTimeExceeded = {11, 0, 3, 0, 0};
inline constexpr IcmpError kHostUnreachable = {3, 1, 1, 3, 0};
inline constexpr IcmpError too_big(uint32_t mtu) noexcept { return {3, 4, 2, 0, mtu}; }

/// The error about a packet, from `own` to whom it came from; nothing where none may be sent: of errors, of fragments
/// but the first, of what no single host has sent.
std::optional<Bytes> icmp_error(const Envelope& envelope, std::span<const std::byte> frame, const Network& ip,
                                const Address& own, const IcmpError& error);

/// A packet in pieces that fit; none where it cannot be cut. Its checksum has to be complete.
std::vector<Bytes> fragments(std::span<const std::byte> frame, const Network& ip, uint32_t mtu);

}  // namespace ringtap::forward
