// What a packet of the ring lacks, written back in front of it: the VLAN tag that the kernel took out, and an SLL2
// header where the link has none that we know.
#pragma once

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>

#include "backends/afpacket/ring.h"
#include "backends/afpacket/target.h"
#include "core/desc.h"

namespace ringtap::afpacket {

/// Where a packet came from, copied out of the ring. `at` is its header.
sockaddr_ll address_of(const std::byte* at) noexcept;

class Restorer {
 public:
  explicit Restorer(const Target& target);

  /// Is there room for the header that every packet of this interface gets?
  bool takes_header(const Frame& frame) const noexcept;
  /// Is there a place for the tag that the kernel took out, and room for it?
  bool takes_tag(const Frame& frame) const noexcept;

  /// Writes the tag, if `tagged`, and the header in front of a packet that takes them. `desc` grows with it. Returns
  /// the packet's first byte.
  std::byte* write(const Frame& frame, std::byte* at, const sockaddr_ll& from, bool tagged,
                   PacketDesc& desc) const noexcept;
  /// Takes the tag out again after write(); `desc` is the packet's as it was before.
  void take_tag_out(const Frame& frame, std::byte* at, const sockaddr_ll& from, PacketDesc& desc) const noexcept;

 private:
  bool cooked_;
  bool ethernet_;
};

}  // namespace ringtap::afpacket
