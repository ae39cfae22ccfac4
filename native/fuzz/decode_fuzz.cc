// Decodes arbitrary bytes as a packet of each link type, alone and in a batch whose descriptors are as arbitrary.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/desc.h"
#include "core/link_type.h"
#include "decode/decode.h"

using namespace ringtap;
using namespace ringtap::decode;

namespace {

constexpr uint32_t kLinkTypes[] = {kLinkEthernet, kLinkNull, kLinkRaw,       kLinkLoop, kLinkLinuxSll,
                                   kLinkIpv4,     kLinkIpv6, kLinkLinuxSll2, kLinkPpp,  127};
constexpr uint32_t kBatch = 4;

void require(bool holds) {
  if (!holds) std::abort();
}

void require_within(uint32_t at, uint32_t from, uint32_t end) { require(at == kAbsent || (at >= from && at < end)); }

/// What every reader relies on: an offset that is there points at a byte of the packet.
void check(const Columns& columns, uint32_t i, uint32_t offset, uint32_t caplen) {
  const uint32_t end = offset + caplen;
  require_within(columns.network_offset[i], offset, end);
  require_within(columns.transport_offset[i], offset, end);
  require_within(columns.payload_offset[i], offset, end);
  require(columns.payload_caplen[i] <= columns.payload_length[i]);
  if (columns.payload_offset[i] == kAbsent) {
    require(columns.payload_caplen[i] == 0);
  } else {
    require(columns.payload_caplen[i] > 0 && columns.payload_offset[i] + columns.payload_caplen[i] <= end);
  }
  if ((columns.flags[i] & kPorts) != 0) require(columns.transport_offset[i] + 4 <= end);
  if ((columns.flags[i] & kTcp) != 0) require(columns.transport_offset[i] + 20 <= end);
  require((columns.flags[i] & kPayloadCut) == 0 || columns.payload_caplen[i] < columns.payload_length[i]);
}

uint32_t take_u32(const uint8_t*& data, size_t& size) {
  uint32_t value = 0;
  const size_t count = std::min(size, sizeof value);
  std::memcpy(&value, data, count);
  data += count;
  size -= count;
  return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint32_t link_type = kLinkTypes[data[0] % std::size(kLinkTypes)];
  const bool is_wild = (data[0] & 0x80) != 0;
  data++;
  size--;
  uint32_t offset[kBatch] = {};
  uint32_t caplen[kBatch] = {};
  uint32_t wirelen[kBatch] = {};
  uint32_t flags[kBatch] = {};
  uint16_t vlan[kBatch] = {};
  if (is_wild) {
    for (uint32_t i = 0; i < kBatch; i++) {
      offset[i] = take_u32(data, size);
      caplen[i] = take_u32(data, size);
      wirelen[i] = take_u32(data, size);
      flags[i] = take_u32(data, size);
      vlan[i] = static_cast<uint16_t>(flags[i] >> 16);
    }
  }
  // An allocation of exactly the bytes: reading beyond them is seen.
  const auto total = static_cast<uint32_t>(size);
  const auto segment = std::make_unique<std::byte[]>(total);
  std::memcpy(segment.get(), data, total);
  if (!is_wild) {
    for (uint32_t i = 0; i < kBatch; i++) {
      caplen[i] = total - std::min(total, i);
      wirelen[i] = total + i % 2 * 100;
      offset[i] = i < 2 ? 0 : total - caplen[i];
      flags[i] = i == 3 ? kFlagVlan : 0;
    }
  }

  const auto memory = std::make_unique<uint32_t[]>((Columns::bytes_for(kBatch) + 3) / 4);
  // SAFETY: bytes are bytes.
  const Columns columns = Columns::over(reinterpret_cast<std::byte*>(memory.get()), kBatch);
  require(decode_batch({offset, caplen, wirelen, flags, vlan, kBatch, segment.get(), total, link_type}, columns) ==
          kBatch);
  for (uint32_t i = 0; i < kBatch; i++) {
    if (uint64_t{offset[i]} + caplen[i] > total) {
      require(columns.flags[i] == kOutside && columns.network_offset[i] == kAbsent && columns.ip_version[i] == 0);
    } else {
      check(columns, i, offset[i], caplen[i]);
    }
  }
  return 0;
}
