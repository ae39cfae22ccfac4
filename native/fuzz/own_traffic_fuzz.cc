// Random bytes as packets, and as connections that they may belong to: nothing behind their end is read, and what is
// found in a packet is found in the same one with a tag.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "serve/own_traffic.h"

using namespace ringtap;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr uint32_t kLinks[] = {1, 101, 113, 276, 0};
  const uint32_t link = kLinks[data[0] % 5];
  const size_t known = std::min<size_t>((data[1] % 4) * OwnTraffic::kBytes, size - 2);
  // SAFETY: bytes are bytes. Copies, so that a read behind their end is seen.
  const auto* bytes = reinterpret_cast<const std::byte*>(data) + 2;
  const std::vector<std::byte> connections(bytes, bytes + known);
  std::vector<std::byte> packet(bytes + known, bytes + size - 2);
  OwnTraffic own;
  own.set(connections);
  const bool is_own = own.has(packet, link);
  if (is_own && own.empty()) std::abort();
  if (link != 1 || packet.size() < 14) return 0;
  constexpr std::byte kTag[] = {std::byte{0x81}, std::byte{0}, std::byte{0}, std::byte{7}};
  packet.insert(packet.begin() + 12, std::begin(kTag), std::end(kTag));
  if (own.has(packet, link) && !is_own) std::abort();
  return 0;
}
