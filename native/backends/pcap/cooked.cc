#include "backends/pcap/cooked.h"

#include <algorithm>
#include <cstring>

#include "core/link_type.h"
#include "libpcap/link_type.h"

namespace ringtap::pcap {
namespace {

// type of packet 2 | ARPHRD_ 2 | length of address 2 | address 8 | protocol 2
constexpr uint32_t kSllBytes = 16;
// protocol 2 | 0 2 | interface 4 | ARPHRD_ 2 | type of packet 1 | length of address 1 | address 8
constexpr uint32_t kSll2Bytes = kSllBytes + kCookedGrowth;

}  // namespace

bool is_cooked(const LibPcap& library, pcap_t* handle) {
  return dlt_to_linktype(library.datalink(handle)) == static_cast<int>(kLinkLinuxSll) &&
         library.datalink_name_to_val != nullptr && library.datalink_name_to_val("LINUX_SLL2") >= 0;
}

uint32_t to_sll2(const std::byte* bytes, uint32_t caplen, std::byte* to, uint32_t room) noexcept {
  std::byte from[kSllBytes] = {};
  std::copy_n(bytes, std::min(caplen, kSllBytes), from);
  const uint32_t rest = std::min(caplen - std::min(caplen, kSllBytes), room - kSll2Bytes);
  std::memcpy(to, from + 14, 2);
  std::memset(to + 2, 0, 6);
  std::memcpy(to + 8, from + 2, 2);
  to[10] = from[1];
  to[11] = from[5];
  std::memcpy(to + 12, from + 6, 8);
  if (rest > 0) std::memcpy(to + kSll2Bytes, bytes + kSllBytes, rest);
  return kSll2Bytes + rest;
}

}  // namespace ringtap::pcap
