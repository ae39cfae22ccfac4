// Cooked headers of the kind that afpacket: gives, too, so that a program for `any` reads either.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libpcap/library.h"

namespace ringtap::pcap {

/// Does the handle give SLL headers, and can this libpcap compile filters for SLL2 ones? WHY not pcap_set_datalink(),
/// which makes libpcap give those itself: it then loses VLAN tags that the kernel has taken out.
bool is_cooked(const LibPcap& library, pcap_t* handle);

/// How much longer an SLL2 header is.
inline constexpr uint32_t kCookedGrowth = 4;

/// Writes a packet with an SLL header to `to` with an SLL2 one: as much of it as there is room for, at least 20 bytes.
/// Its interface is 0, for which libpcap keeps it to itself. Returns how many bytes were written.
uint32_t to_sll2(const std::byte* bytes, uint32_t caplen, std::byte* to, uint32_t room) noexcept;

}  // namespace ringtap::pcap
