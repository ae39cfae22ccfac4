#include "stages/vxlan_stretch.h"

#include "core/untrusted.h"
#include "decode/vxlan_quick.h"

namespace ringtap {

// WHY a function in a file by itself: what is around this loop takes its registers.
Stretch open_stretch(DescBlock& block, uint32_t begin, uint32_t end, const StretchMemory& memory,
                     uint32_t snaplen) noexcept {
  using decode::Quick;
  const std::byte* const bytes = memory.bytes;
  const uint64_t size = memory.size;
  uint32_t opened = 0;
  uint32_t i = begin;
  for (; i < end; i++) {
    if (i + kFetchAhead < end) fetch_headers({bytes, size}, load_once(&block.offset[i + kFetchAhead]));
    const uint32_t offset = load_once(&block.offset[i]);
    const uint32_t caplen = load_once(&block.caplen[i]);
    const uint32_t wirelen = load_once(&block.wirelen[i]);
    // SAFETY: JavaScript may see the descriptors; nothing is read outside of the batch's memory, whatever they say.
    if (uint64_t{offset} + caplen > size) break;
    TunnelRow& row = block.tunnel[i];
    const auto found = [&](uint32_t inner_caplen, uint32_t inner_wirelen, uint32_t vni, uint32_t source) {
      block.offset[i] = offset + Quick::kAt;
      block.caplen[i] = inner_caplen < snaplen ? inner_caplen : snaplen;
      block.wirelen[i] = inner_wirelen;
      row.about = Quick::kAbout;
      row.id = vni;
      row.source[0] = source;
    };
    const Quick::Is is = decode::look_quickly({bytes + offset, caplen}, wirelen, found);
    if (is == Quick::Is::kVxlan) [[likely]] {
      opened++;
      if ((block.flags[i] & kFlagVlan) != 0) [[unlikely]] {
        block.flags[i] &= ~uint32_t{kFlagVlan};
        block.vlan[i] = 0;
      }
    } else if (is == Quick::Is::kOther) {
      if (caplen > snaplen) block.caplen[i] = snaplen;
      row.about = row.id = row.source[0] = 0;
    } else {
      break;
    }
    row.source[1] = row.source[2] = row.source[3] = row.time[0] = row.time[1] = 0;
  }
  return {.next = i, .opened = opened};
}

}  // namespace ringtap
