// Changing addresses, ports and time to live of a packet, with every checksum that covers them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "forward/frame.h"

namespace ringtap::forward {

/// What a packet is to say afterwards. Ports are those of TCP and UDP; of ICMP messages with an id, either is the id.
struct Edit {
  Address source;
  Address destination;
  std::optional<uint16_t> source_port = {};
  std::optional<uint16_t> destination_port = {};
  std::optional<uint8_t> ttl = {};
};

/// Whether the header checksum of an IPv4 packet is right.
bool has_good_header(std::span<const std::byte> frame, const Network& ip) noexcept;

/// Whether all that rewrite() changes is there.
bool can_rewrite(std::span<const std::byte> frame, const Network& ip) noexcept;

/// Checksums stay as right, or as wrong, as they were; partial ones stay partial. The packet has to pass can_rewrite().
void rewrite(Frame& frame, const Network& ip, const Edit& edit) noexcept;

/// The packet that an ICMP error quotes; nothing where the message is none, or quotes too little.
std::optional<Network> read_quote(std::span<const std::byte> frame, const Network& ip) noexcept;

/// Changes what an ICMP error quotes, before rewrite() changes the error itself.
void rewrite_quote(Frame& frame, const Network& ip, const Network& quote, const Edit& edit) noexcept;

/// The ports of a packet, or of what is quoted: of an ICMP message with an id both are that.
struct Ports {
  uint16_t source = 0;
  uint16_t destination = 0;
};
std::optional<Ports> read_ports(std::span<const std::byte> frame, const Network& ip) noexcept;

}  // namespace ringtap::forward
