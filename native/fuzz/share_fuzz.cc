// Deals out arbitrary bytes, as packets of any link type that follow each other: the hash of a packet is the same each
// time, unless a fragment has told more about it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/link_type.h"
#include "decode/share_hash.h"

using namespace ringtap;
using decode::ShareHasher;

namespace {

constexpr uint32_t kLinkTypes[] = {kLinkEthernet,  kLinkRaw,  kLinkNull, kLinkLinuxSll,
                                   kLinkLinuxSll2, kLinkIpv6, kLinkPpp,  127};
constexpr ShareHash kHashes[] = {ShareHash::kUnidirectional, ShareHash::kBidirectional, ShareHash::kAddresses,
                                 ShareHash::kSource, ShareHash::kDestination};

}  // namespace

/// Two bytes of each packet say how long it is and of which link type.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static ShareHasher* const hashers[] = {new ShareHasher(kHashes[0]), new ShareHasher(kHashes[1]),
                                         new ShareHasher(kHashes[2]), new ShareHasher(kHashes[3]),
                                         new ShareHasher(kHashes[4])};
  while (size >= 2) {
    const uint32_t link_type = kLinkTypes[data[1] % std::size(kLinkTypes)];
    const size_t length = std::min<size_t>(data[0], size - 2);
    // An allocation of exactly the bytes: reading beyond them is seen.
    const auto memory = std::make_unique<std::byte[]>(length);
    std::memcpy(memory.get(), data + 2, length);
    for (ShareHasher* hasher : hashers) {
      const uint64_t orphans = hasher->orphans();
      const uint32_t first = hasher->hash({.data = memory.get(), .size = length}, link_type);
      const bool known = hasher->orphans() == orphans;
      if (known && hasher->hash({.data = memory.get(), .size = length}, link_type) != first) std::abort();
    }
    data += 2 + length;
    size -= 2 + length;
  }
  return 0;
}
