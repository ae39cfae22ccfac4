#include "backends/afpacket/restore.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>

#include <cstring>

#include "core/link_type.h"

namespace ringtap::afpacket {

namespace {

constexpr uint32_t kSll2Bytes = 20;
constexpr uint32_t kMacBytes = 12;
constexpr uint32_t kTagBytes = 4;

void grow(PacketDesc& desc, uint32_t bytes) {
  desc.offset -= bytes;
  desc.caplen += bytes;
  desc.wirelen += bytes;
}

uint16_t tpid_of(const Frame& frame) noexcept {
  return (frame.status & TP_STATUS_VLAN_TPID_VALID) != 0 ? frame.vlan_tpid : uint16_t{ETH_P_8021Q};
}

std::byte* push_tag(std::byte* data, const Frame& frame, PacketDesc& desc) noexcept {
  std::memmove(data - kTagBytes, data, kMacBytes);
  data -= kTagBytes;
  const uint16_t tag[2] = {htons(tpid_of(frame)), htons(frame.vlan_tci)};
  std::memcpy(data + kMacBytes, tag, sizeof tag);
  grow(desc, kTagBytes);
  return data;
}

// Behind the cooked header, whose protocol then is the tag's.
std::byte* push_cooked_tag(std::byte* data, const Frame& frame, const sockaddr_ll& from, PacketDesc& desc) noexcept {
  data -= kTagBytes;
  const uint16_t tag[2] = {htons(frame.vlan_tci), from.sll_protocol};
  std::memcpy(data, tag, sizeof tag);
  grow(desc, kTagBytes);
  return data;
}

// LINKTYPE_LINUX_SLL2, tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
std::byte* push_sll2(std::byte* data, uint16_t protocol, const sockaddr_ll& from, PacketDesc& desc) noexcept {
  struct {
    uint16_t protocol;
    uint16_t reserved;
    uint32_t ifindex;
    uint16_t arphrd;
    uint8_t type;
    uint8_t address_bytes;
    uint8_t address[8];
  } sll2{protocol,       0, htonl(static_cast<uint32_t>(from.sll_ifindex)), htons(from.sll_hatype), from.sll_pkttype,
         from.sll_halen, {}};
  static_assert(sizeof sll2 == kSll2Bytes);
  std::memcpy(sll2.address, from.sll_addr, sizeof sll2.address);
  std::memcpy(data - kSll2Bytes, &sll2, sizeof sll2);
  grow(desc, kSll2Bytes);
  return data - kSll2Bytes;
}

}  // namespace

sockaddr_ll address_of(const std::byte* at) noexcept {
  sockaddr_ll from;
  std::memcpy(&from, at + kAddressAt, sizeof from);
  return from;
}

Restorer::Restorer(const Target& target) : cooked_(target.cooked), ethernet_(target.link_type == kLinkEthernet) {}

bool Restorer::takes_header(const Frame& frame) const noexcept {
  return !cooked_ || frame.data >= kFrameHead + kSll2Bytes;
}

bool Restorer::takes_tag(const Frame& frame) const noexcept {
  if (cooked_) return frame.data >= kFrameHead + kSll2Bytes + kTagBytes;
  return ethernet_ && frame.caplen >= kMacBytes && frame.data >= kFrameHead + kTagBytes;
}

std::byte* Restorer::write(const Frame& frame, std::byte* at, const sockaddr_ll& from, bool tagged,
                           PacketDesc& desc) const noexcept {
  std::byte* data = at + frame.data;
  if (tagged) data = cooked_ ? push_cooked_tag(data, frame, from, desc) : push_tag(data, frame, desc);
  if (cooked_) data = push_sll2(data, tagged ? htons(tpid_of(frame)) : from.sll_protocol, from, desc);
  return data;
}

void Restorer::take_tag_out(const Frame& frame, std::byte* at, const sockaddr_ll& from,
                            PacketDesc& desc) const noexcept {
  std::byte* data = at + frame.data;
  if (cooked_) {
    push_sll2(data, from.sll_protocol, from, desc);
  } else {
    std::memmove(data, data - kTagBytes, kMacBytes);
  }
}

}  // namespace ringtap::afpacket
