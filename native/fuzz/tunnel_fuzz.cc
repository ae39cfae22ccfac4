// Opens tunnels in arbitrary bytes: as a packet of any link type, and as the payload that a socket receives of each
// kind.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/link_type.h"
#include "decode/tunnel.h"
#include "decode/vxlan_quick.h"

using namespace ringtap;
using namespace ringtap::decode;

namespace {

constexpr uint32_t kLinkTypes[] = {kLinkEthernet,  kLinkRaw,  kLinkNull, kLinkLinuxSll,
                                   kLinkLinuxSll2, kLinkIpv6, kLinkPpp,  127};

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Inner& inner, const TunnelRow& row, size_t size) {
  require(inner.caplen > 0 && uint64_t{inner.at} + inner.caplen <= size);
  require(inner.wirelen >= inner.caplen);
  require(row.kind() != TunnelKind::kNone && row.kind() <= TunnelKind::kGtpU);
  require(row.depth() >= 1 && row.depth() <= kDeepestTunnel);
  require(row.outer_bytes() == inner.at);
}

/// What is decided the short way is what the long one finds.
void compare(const Bytes& bytes, uint32_t wirelen) {
  Inner told;
  TunnelRow about;
  const auto keep = [&](uint32_t caplen, uint32_t length, uint32_t vni, uint32_t source) {
    told.caplen = caplen;
    told.wirelen = length;
    about.id = vni;
    about.source[0] = source;
  };
  const Quick::Is is = look_quickly(bytes, wirelen, keep);
  if (is == Quick::Is::kUnknown) return;
  Inner inner;
  TunnelRow row;
  const bool is_opened = find_inner(bytes, wirelen, kLinkEthernet, kAllTunnels, inner, row);
  require(is_opened == (is == Quick::Is::kVxlan));
  if (!is_opened) return;
  require(inner.at == Quick::kAt && inner.caplen == told.caplen && inner.wirelen == told.wirelen);
  require(row.about == Quick::kAbout && row.id == about.id && row.source[0] == about.source[0]);
}

}  // namespace

/// The first byte says what the others are: 0 to 127 a packet with so many bytes more on the wire, else a payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t what = data[0];
  const uint8_t which = data[1];
  const size_t rest = size - 2;
  // An allocation of exactly the bytes: reading beyond them is seen.
  const auto memory = std::make_unique<std::byte[]>(rest);
  std::memcpy(memory.get(), data + 2, rest);
  const Bytes bytes{memory.get(), rest};
  Inner inner;
  TunnelRow row;
  if (what < 128) {
    const uint32_t link_type = kLinkTypes[which % std::size(kLinkTypes)];
    const auto wirelen = static_cast<uint32_t>(rest) + what;
    if (link_type == kLinkEthernet) compare(bytes, wirelen);
    if (find_inner(bytes, wirelen, link_type, kAllTunnels, inner, row)) check(inner, row, rest);
    TunnelRow few;
    if (find_inner(bytes, wirelen, link_type, which, inner, few)) require((set_of(few.kind()) & which) != 0);
    return 0;
  }
  const auto kind = static_cast<TunnelKind>(which % 8);
  if (open_tunnel(bytes, kind, inner, row)) {
    check(inner, row, rest);
    require(row.kind() == kind);
  }
  return 0;
}
