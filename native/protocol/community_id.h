// Community ID, version 1, seed 0: a name of a flow that other programs give it, too.
#pragma once

#include <array>
#include <string>

#include "flow/key.h"
#include "protocol/reader.h"

namespace ringtap::flow {
struct Sighting;
}

namespace ringtap::protocol {

/// An address of a flow as it goes over the wire, 4 or 16 bytes.
struct Address {
  std::array<std::byte, 16> bytes;
  size_t size;
  Span span() const noexcept { return {bytes.data(), size}; }
};

/// @param of_b of the other end
Address address_of(const flow::Key& key, bool of_b) noexcept;

/// @param icmp of a flow of ICMP the packet that is looked at; null: the flow has ports
std::string community_id(const flow::Key& key, const flow::Sighting* icmp);

}  // namespace ringtap::protocol
